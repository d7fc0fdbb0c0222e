// Copy buttons: one handler for all, also for those that arrive later.
(() => {
  "use strict";

  async function write(text) {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return;
    }
    // Without HTTPS there is no clipboard; a selection can be copied all the same.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "vh";
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (!copied) throw new Error("copy was refused");
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = button.closest(".code").querySelector("pre");
    const word = button.querySelector("[data-copy-word]");
    const before = word.dataset.before ?? word.textContent;
    word.dataset.before = before;
    try {
      await write(source.textContent);
      word.textContent = button.dataset.done || "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      word.textContent = button.dataset.select || "Press Ctrl C";
    }
    setTimeout(() => {
      word.textContent = before;
    }, 2000);
  });
})();
