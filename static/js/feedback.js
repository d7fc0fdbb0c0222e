// Thumbs for any page, without a key: <script src="https://HERE/static/js/feedback.js" data-token="TOKEN" defer></script>
// The token is made by POST /api/v1/feedback-links. data-kind="rating" asks for 1 to 5, data-question is the question,
// data-comment asks for a word afterwards, data-target is a selector of where to put it (else: after the script).
(() => {
  "use strict";

  const script = document.currentScript;
  if (!script || !script.dataset.token) return;
  const { token, kind, question, target } = script.dataset;
  const address = new URL(`../../f/${encodeURIComponent(token)}`, script.src).href;
  const answers = kind === "rating"
    ? [1, 2, 3, 4, 5].map((star) => ({ value: star, label: `${star} of 5`, face: "\u2605".repeat(star) }))
    : [
        { value: 1, label: "Yes, helpful", face: "\u{1F44D}" },
        { value: 0, label: "No, not helpful", face: "\u{1F44E}" },
      ];

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function draw() {
    const words = question || (kind === "rating" ? "How good was this answer?" : "Was this helpful?");
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
        status.textContent = (error && error.message) || "That could not be sent. Please try again.";
        return false;
      }
    }

    const buttons = answers.map((each) => {
      const face = element("span", {}, each.face);
      face.setAttribute("aria-hidden", "true");
      const button = element("button", { type: "button", className: "pw-feedback__button", title: each.label }, face);
      button.setAttribute("aria-label", each.label);
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", async () => {
        if (!(await send({ value: each.value }))) return;
        chosen = each.value;
        buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
        if ("comment" in script.dataset) more.hidden = false;
      });
      return button;
    });

    const field = element("textarea", { maxLength: 2000, rows: 2, className: "pw-feedback__comment" });
    field.setAttribute("aria-label", "Anything to add?");
    field.placeholder = "Anything to add?";
    const sendButton = element("button", { type: "button", className: "pw-feedback__send" }, "Send");
    const more = element("div", { className: "pw-feedback__more", hidden: true }, field, sendButton);
    sendButton.addEventListener("click", async () => {
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
