// Rows of the prompt editor: added, moved and removed in place. Their buttons post the form where there is no script.
(() => {
  "use strict";

  const rowsOf = (name) => document.querySelector(`[data-rows="${name}"]`);
  const changed = () => {
    document.dispatchEvent(new CustomEvent("rows-changed"));
  };

  function add(name) {
    const list = rowsOf(name);
    const row = document.getElementById(`blank-${name}`).content.firstElementChild.cloneNode(true);
    if (name === "messages") {
      const before = list.lastElementChild?.querySelector("[name=message_role]")?.value;
      row.querySelector("[name=message_role]").value = before === "user" ? "assistant" : before ? "user" : "system";
    }
    list.append(row);
    changed();
    return row;
  }

  function move(row, direction) {
    const other = direction === "up" ? row.previousElementSibling : row.nextElementSibling;
    if (!other) return;
    const active = document.activeElement;
    if (direction === "up") other.before(row);
    else other.after(row);
    active?.focus?.({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
    changed();
  }

  function declare(names) {
    const list = rowsOf("variables");
    const known = new Set([...list.querySelectorAll("[name=variable_name]")].map((field) => field.value.trim()));
    const places = [...rowsOf("messages").querySelectorAll("[name=message_role]")];
    const isThread = (role) => role.value === "placeholder";
    const textOf = (role) => role.closest("[data-row]").querySelector("[name=message_content]").value.trim();
    const threads = new Set(places.filter(isThread).map(textOf));
    let first;
    for (const name of names) {
      if (known.has(name)) continue;
      const row = add("variables");
      row.querySelector("[name=variable_name]").value = name;
      if (threads.has(name)) row.querySelector("[name=variable_type]").value = "messages";
      first ??= row;
    }
    changed();
    return first;
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-add], [data-move], [data-remove], [data-declare]");
    if (!button) return;
    event.preventDefault();
    const row = button.closest("[data-row]");
    if (button.dataset.add) {
      add(button.dataset.add).querySelector("textarea, input")?.focus();
    } else if (button.dataset.move) {
      move(row, button.dataset.move);
    } else if (button.dataset.declare) {
      declare(button.dataset.declare.split(","))?.querySelector("[name=variable_sample]").focus();
    } else {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      next?.querySelector("textarea, input:not([type='hidden'])")?.focus();
      changed();
    }
  });

  document.addEventListener("keydown", (event) => {
    if (!event.altKey || event.ctrlKey || event.metaKey || event.isComposing) return;
    const row = event.target.closest?.("[data-rows='messages'] > [data-row]");
    if (row && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault();
      move(row, event.key === "ArrowUp" ? "up" : "down");
    } else if (event.code === "KeyV" || event.code === "KeyM") {
      const button = document.querySelector(event.code === "KeyV" ? "[data-declare]" : "[data-add='messages']");
      if (!button) return;
      event.preventDefault();
      button.click();
    }
  });
})();
