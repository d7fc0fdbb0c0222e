// Filters ([data-autosubmit]) take effect when they are chosen; without script the form has a button.
(() => {
  "use strict";

  const isFilter = (form) => form?.matches?.("form[data-autosubmit]");

  document.addEventListener("change", (event) => {
    const form = event.target.closest("form");
    if (isFilter(form)) form.requestSubmit();
  });

  // What is empty does not belong into the address.
  document.addEventListener("submit", (event) => {
    if (!isFilter(event.target)) return;
    for (const field of event.target.elements) field.disabled = field.value === "";
  });

  // Coming back, a filter shows again what its page shows, not what was chosen when leaving.
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-autosubmit]")) {
      for (const field of form.elements) field.disabled = false;
      form.reset();
    }
  });
})();
