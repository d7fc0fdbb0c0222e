// Filters ([data-autosubmit]) take effect when they are chosen; without script the form has a button.
(() => {
  "use strict";

  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-autosubmit]");
    if (!form) return;
    // What is empty does not belong into the address.
    for (const field of form.elements) field.disabled = field.value === "";
    form.requestSubmit();
  });
  window.addEventListener("pageshow", () => {
    for (const field of document.querySelectorAll("form[data-autosubmit] :disabled")) field.disabled = false;
  });
})();
