// The prompt editor: saves the draft and renders the preview while one types. Without script, buttons do both.
(() => {
  "use strict";

  const SAVE_AFTER_MS = 900;
  const PREVIEW_AFTER_MS = 350;
  const PREVIEW_LONG_AFTER_MS = 1500; // a text of 240 KiB takes the server a second
  const LONG = 40_000;
  const RETRY_MS = 5000;
  const SIGNED_OUT = "Not saved: you are signed out. Sign in in another window; this one then saves by itself.";

  const form = document.querySelector("form[data-editor]");
  if (!form) return;
  const preview = document.querySelector("[data-preview]");
  let typed = 0; // counts changes
  let sent = 0; // how many of them are on their way
  let saved = 0; // how many of them an answer has confirmed
  let conflicted = document.querySelector("#draft-conflict .conflict") !== null;
  let leaving = false;
  let saving = false; // an answer is on its way
  let waiting; // the button that was pressed meanwhile
  let saveTimer;
  let previewTimer;

  const state = () => document.getElementById("draft-state");

  function say(text, css = "muted") {
    const line = state().querySelector("span");
    line.className = css;
    line.textContent = text;
  }

  function save() {
    clearTimeout(saveTimer);
    if (conflicted) return;
    sent = typed;
    say("Saving…");
    htmx.trigger(form, "save");
  }

  function changed() {
    typed += 1;
    clearTimeout(saveTimer);
    clearTimeout(previewTimer);
    if (!conflicted) saveTimer = setTimeout(save, SAVE_AFTER_MS);
    const isLong = [...form.querySelectorAll("[name=message_content]")].some((field) => field.value.length > LONG);
    const wait = isLong ? PREVIEW_LONG_AFTER_MS : PREVIEW_AFTER_MS;
    previewTimer = setTimeout(() => htmx.trigger(preview, "preview"), wait);
  }

  form.addEventListener("input", changed);
  document.addEventListener("rows-changed", changed);

  // What was typed before this script ran, or what the browser put back after a reload.
  const isTyped = (field) =>
    field.matches("textarea, input[type=text], input:not([type])") &&
    field.value !== field.defaultValue.replaceAll("\r\n", "\n").replaceAll("\r", "\n");
  if ([...form.elements].some(isTyped)) changed();

  // --- What the server says about a field stands beside it -----------------------------------------------------------

  function fieldAt(place) {
    const [table, at, part] = place.split(".");
    if (at === undefined) return form.elements[table];
    const row = form.querySelectorAll(`[data-rows="${table}"] > [data-row]`)[Number(at)];
    return row?.querySelector(`[name="${table.slice(0, -1)}_${part}"]`);
  }

  function showProblems() {
    for (const old of form.querySelectorAll("[data-problems]")) old.remove();
    for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    const told = [...state().querySelectorAll("[data-problem]")];
    for (const problem of told) {
      const field = fieldAt(problem.dataset.problem);
      if (!(field instanceof Element)) continue;
      field.setAttribute("aria-invalid", "true");
      field.closest("details")?.setAttribute("open", "");
      const box = document.createElement("div");
      box.className = "problems";
      box.dataset.problems = "";
      const line = document.createElement("p");
      line.className = "err";
      line.textContent = problem.textContent;
      box.append(line);
      (field.closest("[data-row]") ?? field.closest("details, .params")).append(box);
    }
    if (told.length) say(`Not saved: ${told[0].textContent}`, "status is-fail");
  }

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.requestConfig?.elt !== form) return;
    conflicted = document.querySelector("#draft-conflict .conflict") !== null;
    if (event.detail.xhr.status === 200) {
      saved = sent;
      const copy = document.querySelector("[data-revision-copy]");
      copy.value = form.elements.revision.value;
    }
    showProblems();
    if (conflicted) document.getElementById("draft-conflict").scrollIntoView({ block: "center" });
  });

  function failed(event) {
    if (event.detail.requestConfig?.elt !== form) return;
    const status = event.detail.xhr?.status;
    const reason = status ? `the server refused it (${status})` : "no connection";
    say(`Not saved: ${reason}. What you typed is still here.`, "status is-fail");
    if (status === 403) freshToken();
    saveTimer = setTimeout(save, RETRY_MS);
  }

  // Signed out meanwhile, the page stays, and saves once somebody has signed in in another window.
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    if (!event.detail.xhr.getResponseHeader("HX-Redirect")) return;
    event.preventDefault();
    say(SIGNED_OUT, "status is-fail");
    if (event.detail.elt === form) saveTimer = setTimeout(save, RETRY_MS);
  });

  async function freshToken() {
    const answer = await fetch(location.pathname).catch(() => null);
    if (answer?.redirected) say(SIGNED_OUT, "status is-fail");
    if (!answer?.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = page.querySelector("[name=csrfmiddlewaretoken]")?.value;
    if (!token) return;
    for (const field of document.querySelectorAll("[name=csrfmiddlewaretoken]")) field.value = token;
    document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRFToken": token }));
  }

  document.addEventListener("htmx:sendError", failed);
  document.addEventListener("htmx:responseError", failed);

  // --- Buttons and keys ----------------------------------------------------------------------------------------------

  // A text that is being saved has a new revision soon; what is sent before knowing it would conflict with itself.
  form.addEventListener("submit", (event) => {
    clearTimeout(saveTimer);
    clearTimeout(previewTimer);
    if (saving) {
      event.preventDefault();
      waiting = event.submitter;
      return;
    }
    leaving = true;
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt === form) saving = true;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt !== form) return;
    saving = false;
    const button = waiting;
    waiting = undefined;
    if (button) setTimeout(() => form.requestSubmit(button.isConnected ? button : undefined));
  });
  document.querySelector("[data-save]")?.addEventListener("click", (event) => {
    event.preventDefault();
    save();
  });
  document.querySelector("[data-kind]")?.addEventListener("change", () => {
    document.querySelector("[data-change-kind]").click();
  });
  document.querySelector("[data-discard]")?.closest("form").addEventListener("submit", () => {
    leaving = true;
    clearTimeout(saveTimer);
  });

  document.addEventListener(
    "keydown",
    (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || event.isComposing) return;
      if (document.querySelector("dialog[open]")) return;
      if (event.key === "s" || event.key === "S") {
        event.preventDefault();
        save();
      } else if (event.key === "Enter") {
        event.preventDefault();
        document.querySelector("[data-publish]").click();
      }
    },
    true,
  );

  // A finding leads to its place in the text.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("#preview [data-go]");
    if (!link) return;
    const field = form.querySelectorAll("[name=message_content]")[Number(link.dataset.go)];
    if (!field) return;
    event.preventDefault();
    field.focus();
    field.setSelectionRange(Number(link.dataset.start), Number(link.dataset.end));
    field.closest("[data-row]").scrollIntoView({ block: "nearest" });
  });

  if (form.hasAttribute("data-unsaved")) addEventListener("load", changed);

  addEventListener("beforeunload", (event) => {
    if (typed !== saved && !leaving) event.preventDefault();
  });
  // A page that goes away because its form was sent is hidden too: what it would send is older than what it has sent.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && typed !== saved && !leaving) save();
  });
})();
