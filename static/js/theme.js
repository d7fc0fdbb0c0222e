// Theme: light, dark, or as the system says. Loaded before the first paint, so that a chosen theme never flashes.
(() => {
  "use strict";

  const root = document.documentElement;
  root.classList.add("js");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const initial = root.dataset.theme || "system";

  function kept() {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // storage is switched off; the page's own theme holds
    }
  }

  function keep(choice) {
    try {
      localStorage.setItem("theme", choice);
    } catch {
      // The choice holds for this page.
    }
  }

  function show(choice) {
    if (choice === "light" || choice === "dark") root.dataset.theme = choice;
    else delete root.dataset.theme;
    root.dataset.themeChoice = choice;
    for (const button of document.querySelectorAll("[data-theme-choice]:not(html)")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
    }
    document.dispatchEvent(new CustomEvent("themechange"));
  }

  show(kept() || initial);
  document.addEventListener("DOMContentLoaded", () => show(root.dataset.themeChoice));
  dark.addEventListener("change", () => document.dispatchEvent(new CustomEvent("themechange")));
  addEventListener("storage", (event) => {
    if (event.key === "theme") show(event.newValue || initial);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-theme-choice]");
    if (!button) return;
    keep(button.dataset.themeChoice);
    show(button.dataset.themeChoice);
    button.closest("[popover]")?.hidePopover();
  });
})();
