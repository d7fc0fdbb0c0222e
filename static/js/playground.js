// The playground: every column streams by itself (EventSource), and is shown as the server has it when it is done.
// Without this script the form runs all columns and shows the finished page.
(() => {
  "use strict";

  const form = document.getElementById("playground");
  if (!form) return;
  const grid = form.querySelector("[data-columns]");
  const columns = [...form.querySelectorAll("[data-column]")];
  const progress = form.querySelector("[data-progress]");
  const cancelAll = form.querySelector("[data-cancel-all]");
  const runButton = form.querySelector("[data-run]");
  const adder = form.querySelector("[data-add-column]");
  const word = (name) =>
    document.getElementById("pg-words").content.querySelector(`[data-word="${name}"]`).textContent;
  const streams = new Map();
  let all = 0;
  let generation = 0;
  let isStarting = false;

  // --- Columns ------------------------------------------------------------------------------------------------------

  const picker = (column) => column.querySelector("[name=model]");

  function layOut() {
    const shown = columns.filter((column) => !column.classList.contains("is-unused"));
    grid.dataset.count = String(shown.length);
    for (const column of columns) column.hidden = column.classList.contains("is-unused");
    if (adder) adder.hidden = shown.length === columns.length;
  }

  function addColumn() {
    const column = columns.find((each) => each.classList.contains("is-unused"));
    if (!column) return;
    column.classList.remove("is-unused");
    const taken = new Set(columns.map((each) => picker(each).value));
    const free = [...picker(column).options].find((option) => option.value && !taken.has(option.value));
    if (free) free.selected = true;
    layOut();
    picker(column).focus();
  }

  function dropColumn(column) {
    stop(column);
    picker(column).value = "";
    column.classList.add("is-unused");
    layOut();
    adder?.focus();
  }

  // --- Answers ------------------------------------------------------------------------------------------------------

  const body = (column) => column.querySelector(".pg-answer");

  function showRunning(column) {
    const fresh = document.getElementById("pg-running").content.firstElementChild.cloneNode(true);
    fresh.id = body(column).id;
    body(column).replaceWith(fresh);
    column.querySelector("[data-cancel]").hidden = false;
    column.setAttribute("aria-busy", "true");
  }

  function milliseconds(value) {
    return value < 1000 ? `${Math.round(value)}\u00a0ms` : `${(value / 1000).toFixed(2)}\u00a0s`;
  }

  function addDelta(column, delta) {
    const here = body(column);
    if (delta.ttft_ms !== undefined) {
      here.querySelector("[data-ttft]").textContent = milliseconds(delta.ttft_ms);
      here.querySelector("[data-state]").textContent = word("coming");
    }
    if (delta.tool === undefined) {
      here.querySelector("[data-text]").append(delta.text);
      return;
    }
    const tools = here.querySelector("[data-tools]");
    let call = tools.querySelector(`[data-call="${delta.tool}"]`);
    if (!call) {
      call = document.createElement("pre");
      call.dataset.call = String(delta.tool);
      call.className = "pg-call";
      tools.append(call);
    }
    call.append(delta.name ? `${delta.name} ${delta.text}` : delta.text);
  }

  function tellProgress() {
    const done = all - streams.size;
    progress.textContent = all ? word("ready").replace("{done}", done).replace("{all}", all) : "";
    const isRunning = streams.size > 0;
    if (cancelAll) cancelAll.hidden = !isRunning;
    if (runButton) runButton.disabled = isRunning;
  }

  // What the server has kept; asked again for as long as it is still working on it.
  async function settle(column, page, ours) {
    column.querySelector("[data-cancel]").hidden = true;
    column.removeAttribute("aria-busy");
    const last = 20;
    for (let attempt = 0; attempt <= last; attempt += 1) {
      const answer = await fetch(page);
      if (!answer.ok || ours !== generation) return;
      const shown = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = document.adoptNode(shown.body.firstElementChild);
      // One that is still open after that asks for itself from now on.
      if (!fresh.hasAttribute("hx-get") || attempt === last) {
        body(column).replaceWith(fresh);
        window.htmx?.process(fresh);
        return;
      }
      await new Promise((go) => setTimeout(go, 250));
    }
  }

  // The list of runs below, once all columns are done.
  async function refreshRuns(ours) {
    const answer = await fetch(location.href);
    if (!answer.ok || ours !== generation) return;
    const whole = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = whole.getElementById("runs");
    if (fresh) document.getElementById("runs")?.replaceWith(document.adoptNode(fresh));
  }

  function follow(column, answer, ours) {
    showRunning(column);
    const source = new EventSource(answer.stream);
    const began = performance.now();
    const clock = setInterval(() => {
      const total = body(column).querySelector("[data-total]");
      if (total) total.textContent = milliseconds(performance.now() - began);
    }, 200);
    const end = () => {
      if (!streams.has(column)) return;
      source.close();
      clearInterval(clock);
      streams.delete(column);
      const settled = settle(column, answer.page, ours);
      tellProgress();
      settled.then(() => (streams.size ? null : refreshRuns(ours))).catch(() => {
        progress.textContent = word("lost");
      });
    };
    source.addEventListener("delta", (event) => addDelta(column, JSON.parse(event.data)));
    source.addEventListener("done", end);
    source.addEventListener("failed", end);
    // Also a refusal and a connection that is lost: the link works once, so trying again is of no use.
    source.onerror = end;
    streams.set(column, end);
  }

  function stop(column) {
    streams.get(column)?.();
  }

  function stopAll() {
    if (!streams.size) return;
    for (const column of [...streams.keys()]) stop(column);
    progress.textContent = word("cancelling");
  }

  async function run() {
    if (streams.size || isStarting) return;
    isStarting = true;
    if (runButton) runButton.disabled = true;
    let begun = null;
    try {
      const answer = await fetch(form.dataset.start, { method: "POST", body: new FormData(form) });
      // What is wrong is said on the page by the server, with everything that was typed.
      if (!answer.ok) return sendWhole();
      begun = await answer.json();
    } catch {
      progress.textContent = word("lost");
      return;
    } finally {
      isStarting = false;
      if (runButton) runButton.disabled = false;
    }
    generation += 1;
    all = begun.answers.length;
    const used = columns.filter((column) => picker(column).value);
    for (const answer of begun.answers) follow(used[answer.column], answer, generation);
    history.pushState({}, "", begun.url);
    tellProgress();
  }

  function sendWhole() {
    const act = document.createElement("input");
    Object.assign(act, { type: "hidden", name: "act", value: "run" });
    form.append(act);
    form.submit();
  }

  // --- What one does ------------------------------------------------------------------------------------------------

  form.addEventListener("submit", (event) => {
    const action = event.submitter?.value;
    if (action !== "run" && event.submitter) return;
    event.preventDefault();
    run();
  });

  form.addEventListener("click", (event) => {
    const column = event.target.closest("[data-column]");
    if (event.target.closest("[data-cancel-all]")) stopAll();
    else if (event.target.closest("[data-add-column]")) addColumn();
    else if (event.target.closest("[data-drop-column]")) dropColumn(column);
    else if (event.target.closest("[data-cancel]")) stop(column);
  });

  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open], :popover-open")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && runButton) {
      event.preventDefault();
      run();
    } else if (event.key === "Escape" && streams.size) {
      event.preventDefault();
      stopAll();
    }
  });

  // A variable that a message names gets its row as soon as the message is left.
  form.addEventListener("change", (event) => {
    if (!event.target.matches("[name=text], [name=role]")) return;
    const known = new Set([...form.querySelectorAll("[name=variable]")].map((field) => field.value));
    const named = [...form.querySelectorAll("[name=text]")].flatMap((field) =>
      [...field.value.matchAll(/\{\{\{?\s*[#^&]?\s*([A-Za-z_]\w*)/g)].map((found) => found[1]),
    );
    if (form.querySelector("[name=syntax]").value !== "none" && named.some((name) => !known.has(name))) {
      form.querySelector("[data-find-variables]")?.click();
    }
  });

  window.addEventListener("popstate", () => location.reload());
  layOut();
})();
