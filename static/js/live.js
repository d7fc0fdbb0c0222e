// A region that refreshes itself ([data-live], by htmx): not while nobody looks, nor under somebody's hands.
(() => {
  "use strict";

  const inUse = (region) => {
    const active = document.activeElement;
    const typing = region.contains(active) && active.matches("input, select, textarea");
    const selection = document.getSelection();
    const selecting = !selection.isCollapsed && region.contains(selection.anchorNode);
    return typing || selecting || region.querySelector(":popover-open") !== null;
  };

  document.addEventListener("htmx:beforeRequest", (event) => {
    const region = event.target;
    if (region.matches?.("[data-live]") && (document.hidden || inUse(region))) event.preventDefault();
  });

  // Boxes that scroll by themselves stay where they were.
  let places = new Map();
  document.addEventListener("htmx:beforeSwap", (event) => {
    const region = event.detail.target;
    if (!region?.matches?.("[data-live]")) return;
    places = new Map();
    for (const box of region.querySelectorAll(".scroll[id]")) places.set(box.id, [box.scrollLeft, box.scrollTop]);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const [id, [left, top]] of places) document.getElementById(id)?.scrollTo({ left, top, behavior: "instant" });
    places = new Map();
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    for (const region of document.querySelectorAll("[data-live]")) htmx.trigger(region, "refresh");
  });
})();
