// Going back twice quickly asks the server for two pages. The answer to the first must not come in over the second.
(() => {
  "use strict";

  let asked = null;

  document.addEventListener("htmx:historyCacheMiss", (event) => {
    asked?.abort();
    asked = event.detail.xhr;
  });
})();
