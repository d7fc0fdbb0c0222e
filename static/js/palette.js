// Command palette (Ctrl K), page search (/) and key help (?). Pages are in the dialog; the rest is asked of the server.
(() => {
  "use strict";

  const ASK_AFTER_MS = 120;
  const palette = document.getElementById("palette");
  if (!palette) return;
  const input = palette.querySelector("input");
  const list = palette.querySelector(".palette__list");
  const found = document.getElementById("palette-found");
  const none = list.querySelector(".none");
  let timer;
  let asked = 0;

  const shown = () => [...list.querySelectorAll('[role="option"]')].filter((option) => !option.hidden);

  function select(option) {
    for (const each of list.querySelectorAll('[aria-selected="true"]')) each.setAttribute("aria-selected", "false");
    if (option) {
      option.setAttribute("aria-selected", "true");
      option.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", option.id);
    } else {
      input.removeAttribute("aria-activedescendant");
    }
  }

  function settle() {
    const options = shown();
    none.hidden = options.length > 0;
    select(options[0]);
  }

  async function ask(words) {
    const mine = ++asked;
    if (!palette.dataset.url || !words) {
      found.replaceChildren();
      settle();
      return;
    }
    const address = new URL(palette.dataset.url, location.href);
    address.searchParams.set("q", words);
    try {
      const answer = await fetch(address, { headers: { "HX-Request": "true" } });
      if (mine !== asked || !answer.ok) return;
      found.innerHTML = await answer.text();
      settle();
    } catch {
      // The server does not answer; the pages above can still be chosen.
    }
  }

  function narrow() {
    const words = input.value.trim().toLowerCase();
    for (const page of list.querySelectorAll("[data-page]")) {
      page.hidden = !page.textContent.toLowerCase().includes(words);
    }
    settle();
    clearTimeout(timer);
    timer = setTimeout(() => ask(words), ASK_AFTER_MS);
  }

  function open() {
    if (palette.open) return;
    for (const menu of document.querySelectorAll(":popover-open")) menu.hidePopover();
    input.value = "";
    narrow();
    palette.showModal();
    input.focus();
  }

  input.addEventListener("input", narrow);
  input.addEventListener("keydown", (event) => {
    const options = shown();
    const at = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown") select(options[(at + 1) % options.length]);
    else if (event.key === "ArrowUp") select(options[(at - 1 + options.length) % options.length]);
    else if (event.key === "Enter" && options[at]) options[at].click();
    else return;
    event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-palette]")) open();
  });

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      open();
      return;
    }
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === "/") {
      event.preventDefault();
      const search = document.querySelector("main [data-page-search], main input[type='search']");
      if (search) search.focus();
      else open();
    } else if (event.key === "?") {
      event.preventDefault();
      document.getElementById("keys-dialog").showModal();
    }
  });
})();
