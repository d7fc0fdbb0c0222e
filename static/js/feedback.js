// Thumbs for any page, without a key: <script src="https://HERE/feedback.js" data-token="TOKEN" defer></script>
// The token is made by POST /api/v1/feedback-links. data-kind="rating" asks for 1 to 5, data-question is the question,
// data-comment asks for a word afterwards, data-target is a selector of where to put it (else: after the script).
(() => {
  "use strict";

  const script = document.currentScript;
  if (!script || !script.dataset.token) return;
  const { token, kind, question, target } = script.dataset;
  const isRating = kind === "rating";
  const address = new URL(`f/${encodeURIComponent(token)}`, script.src).href;

  const UP = "M5 7.2l2.7-5.1c1.1 0 1.8.9 1.6 2L8.8 6.4h3.8c.9 0 1.5.8 1.3 1.7l-.9 4c-.2.8-.8 1.3-1.6 1.3H5zM5 7.2H2.3v6.2H5";
  const DOWN = "M11 8.8l-2.7 5.1c-1.1 0-1.8-.9-1.6-2l.5-2.3H3.4c-.9 0-1.5-.8-1.3-1.7l.9-4c.2-.8.8-1.3 1.6-1.3H11zM11 8.8h2.7V2.6H11";
  const STAR = "M8 1.9l1.9 3.8 4.2.6-3 3 .7 4.2L8 11.5l-3.8 2 .7-4.2-3-3 4.2-.6z";
  const answers = isRating
    ? [1, 2, 3, 4, 5].map((star) => ({ value: star, label: `${star} of 5`, path: STAR }))
    : [
        { value: 1, label: "Yes, helpful", path: UP },
        { value: 0, label: "No, not helpful", path: DOWN },
      ];

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function drawing(path) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    const line = document.createElementNS(space, "path");
    const attributes = { viewBox: "0 0 16 16", width: 20, height: 20, fill: "none", stroke: "currentColor", "aria-hidden": true };
    for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
    line.setAttribute("stroke-width", "1.5");
    line.setAttribute("stroke-linejoin", "round");
    line.setAttribute("d", path);
    svg.append(line);
    return svg;
  }

  function draw() {
    const words = question || (isRating ? "How good was this answer?" : "Was this helpful?");
    const status = element("span", { className: "pw-feedback__status" });
    status.setAttribute("role", "status");
    const box = element("div", { className: "pw-feedback" });
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", words);
    let chosen = null;

    async function send(body) {
      status.textContent = "";
      try {
        const answer = await fetch(address, {
          method: "POST",
          mode: "cors",
          credentials: "omit",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(body),
        });
        const said = await answer.json();
        if (!answer.ok) throw new Error(said.error ? said.error.message : "");
        status.textContent = "Thank you.";
        return true;
      } catch (error) {
        const isOurs = error instanceof Error && error.name === "Error" && error.message;
        status.textContent = isOurs ? error.message : "That could not be sent. Please try again.";
        return false;
      }
    }

    function choose(value) {
      chosen = value;
      buttons.forEach((button, place) => {
        const own = answers[place].value;
        button.setAttribute("aria-pressed", String(own === chosen));
        button.firstChild.setAttribute("fill", own === chosen || (isRating && own < chosen) ? "currentColor" : "none");
      });
      if ("comment" in script.dataset) more.hidden = false;
    }

    const buttons = answers.map((each) => {
      const button = element("button", { type: "button", className: "pw-feedback__button", title: each.label }, drawing(each.path));
      button.setAttribute("aria-label", each.label);
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", async () => {
        if (await send({ value: each.value })) choose(each.value);
      });
      return button;
    });

    const field = element("textarea", { maxLength: 2000, rows: 2, className: "pw-feedback__comment" });
    field.setAttribute("aria-label", "Anything to add?");
    field.placeholder = "Anything to add?";
    const button = element("button", { type: "button", className: "pw-feedback__send" }, "Send");
    const more = element("div", { className: "pw-feedback__more", hidden: true }, field, button);
    button.addEventListener("click", async () => {
      if (await send({ value: chosen, comment: field.value })) more.hidden = true;
    });

    box.append(element("span", { className: "pw-feedback__question" }, words), " ", ...buttons, " ", status, more);
    const place = target && document.querySelector(target);
    if (place) place.append(box);
    else script.after(box);
  }

  if (document.readyState === "loading" && target) document.addEventListener("DOMContentLoaded", draw);
  else draw();
})();
