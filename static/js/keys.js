// Keys of a page: [data-key="x"] is pressed, chosen or entered by x. Enter sends the form [data-enter], within a text
// with Ctrl. [data-choose-all="name"] ticks every box of that name in its form.
(() => {
  "use strict";

  const TEXT = "textarea, select, input:not([type='checkbox'], [type='radio'])";

  function use(target) {
    if (target.matches("textarea, input:not([type='radio'], [type='checkbox'])")) target.focus();
    else target.click();
    if (target.matches("[type='radio']")) target.focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open], :popover-open")) return;
    const field = event.target.closest?.(TEXT);
    const form = document.querySelector("form[data-enter]");
    if (event.key === "Enter" && form) {
      const within = event.ctrlKey || event.metaKey;
      if (field ? within && field.form : !event.target.closest("a, button, summary")) {
        event.preventDefault();
        (field ? field.form : form).requestSubmit();
      }
      return;
    }
    if (field && event.key === "Escape") {
      field.blur();
      return;
    }
    if (field || event.ctrlKey || event.metaKey || event.shiftKey || event.key.length !== 1) return;
    const target = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (!target) return;
    event.preventDefault();
    use(target);
  });

  document.addEventListener("change", (event) => {
    const name = event.target.dataset?.chooseAll;
    if (!name) return;
    for (const box of event.target.form.querySelectorAll(`[type="checkbox"][name="${name}"]`)) {
      box.checked = event.target.checked;
    }
  });

  // What is shown in place is where one reads on; a form that was refused keeps its place.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.xhr?.status === 422) return;
    event.detail.elt.querySelector?.("[data-focus-after-swap]")?.focus({ preventScroll: true });
  });
})();
