// Menus are popovers and open without script. This adds arrow keys, and places them where anchors are not yet known.
(() => {
  "use strict";

  const anchored = CSS.supports("position-area", "block-end");

  function entries(menu) {
    return [...menu.querySelectorAll("a[href], button:not([disabled])")].filter((item) => item.checkVisibility());
  }

  function place(menu, button) {
    const box = button.getBoundingClientRect();
    const width = menu.offsetWidth;
    const start = menu.classList.contains("menu--start") ? box.left : box.right - width;
    menu.style.inset = "auto";
    menu.style.top = `${box.bottom}px`;
    menu.style.left = `${Math.max(8, Math.min(start, innerWidth - width - 8))}px`;
  }

  document.addEventListener(
    "toggle",
    (event) => {
      const menu = event.target;
      if (!menu.matches?.(".menu[popover]")) return;
      const button = document.querySelector(`[popovertarget="${menu.id}"]:is(:focus, :hover)`);
      const isOpen = event.newState === "open";
      for (const each of document.querySelectorAll(`[popovertarget="${menu.id}"]`)) {
        each.setAttribute("aria-expanded", String(isOpen));
      }
      if (isOpen && button && !anchored) place(menu, button);
    },
    true,
  );

  document.addEventListener("keydown", (event) => {
    if (!["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) return;
    const button = event.target.closest("[popovertarget]");
    const menu = event.target.closest(".menu[popover]") || document.querySelector(".menu:popover-open");
    if (!menu || !menu.matches(":popover-open")) return;
    if (event.target.matches("input, select, textarea")) return;
    const items = entries(menu);
    if (!items.length) return;
    event.preventDefault();
    const at = items.indexOf(document.activeElement);
    const last = items.length - 1;
    const next = {
      ArrowDown: button || at === last ? 0 : at + 1,
      ArrowUp: button || at <= 0 ? last : at - 1,
      Home: 0,
      End: last,
    }[event.key];
    items[next].focus();
  });
})();
