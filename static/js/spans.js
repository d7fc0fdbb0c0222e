// One trace: the row of the span that is shown beside the waterfall is marked, and comes into view.
(() => {
  "use strict";

  function mark() {
    const shown = document.getElementById("span")?.dataset.span;
    for (const row of document.querySelectorAll("#wf a[data-span]")) {
      if (row.dataset.span !== shown) {
        row.removeAttribute("aria-current");
      } else if (!row.hasAttribute("aria-current")) {
        row.setAttribute("aria-current", "true");
        row.scrollIntoView({ block: "nearest" });
      }
    }
  }

  document.addEventListener("htmx:afterSettle", mark);
})();
