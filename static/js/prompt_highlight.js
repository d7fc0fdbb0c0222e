// Template text ([data-template]): what stands in braces is marked behind the text, and the field grows with it.
(() => {
  "use strict";

  const TAG = /\{\{[\s\S]*?\}\}\}?|\{%[\s\S]*?%\}|\{#[\s\S]*?#\}/g;
  const MOST = 60_000; // beyond this, marking would be felt while typing

  function look(tag) {
    if (tag.startsWith("{{!") || tag.startsWith("{#")) return "var var--comment";
    if (tag.startsWith("{{>") || /^\{%-?\s*include\b/.test(tag)) return "var var--include";
    if (tag.startsWith("{%") || /^\{\{[#^/]/.test(tag)) return "var var--part";
    return "var";
  }

  function mark(box) {
    const back = box.querySelector(".tpl__back");
    const field = box.querySelector(".tpl__text");
    const text = field.value;
    field.rows = 1; // what lies behind it gives the height
    const pieces = [];
    let end = 0;
    if (text.length <= MOST) {
      for (const found of text.matchAll(TAG)) {
        pieces.push(text.slice(end, found.index));
        const span = document.createElement("span");
        span.className = look(found[0]);
        span.textContent = found[0];
        pieces.push(span);
        end = found.index + found[0].length;
      }
    }
    pieces.push(text.slice(end) + "\n"); // the last line counts even when it is empty
    back.replaceChildren(...pieces);
  }

  const markAll = (root) => {
    for (const box of root.querySelectorAll("[data-template]")) mark(box);
  };

  document.addEventListener("input", (event) => {
    const box = event.target.closest?.("[data-template]");
    if (box) mark(box);
  });
  document.addEventListener("rows-changed", () => markAll(document));
  document.addEventListener("DOMContentLoaded", () => markAll(document));
})();
