// Publishing by Ctrl Enter: once for each press, so that a key held down since the editor does not publish by itself.
(() => {
  "use strict";

  const form = document.querySelector("[data-publish-form]");
  if (!form) return;
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.repeat || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return;
    const button = form.querySelector("[type=submit]");
    event.preventDefault();
    if (!button.disabled) form.requestSubmit(button);
  });
})();
