// Toasts: those of the page, those an answer announces (HX-Trigger: {"toast": {"text", "state"}}), and failed requests.
(() => {
  "use strict";

  const STAY_MS = 6000;

  function retire(toast) {
    if (toast.dataset.toast === "error" || toast.dataset.toast === "warning") return; // stays until it is read
    let timer;
    const start = () => {
      timer = setTimeout(() => toast.remove(), STAY_MS);
    };
    for (const name of ["pointerenter", "focusin"]) toast.addEventListener(name, () => clearTimeout(timer));
    for (const name of ["pointerleave", "focusout"]) toast.addEventListener(name, start);
    start();
  }

  function show(text, state) {
    const toast = document.getElementById("toast-template").content.firstElementChild.cloneNode(true);
    toast.dataset.toast = state;
    toast.setAttribute("role", state === "error" ? "alert" : "status");
    for (const sign of toast.querySelectorAll("[data-for]")) {
      if (sign.dataset.for !== state) sign.remove();
    }
    toast.querySelector("p").textContent = text;
    document.getElementById("toasts").append(toast);
    retire(toast);
  }

  document.addEventListener("click", (event) => {
    event.target.closest("[data-dismiss]")?.closest(".toast")?.remove();
  });
  document.addEventListener("toast", (event) => show(event.detail.text, event.detail.state || "success"));
  document.addEventListener("htmx:responseError", (event) => {
    const { status } = event.detail.xhr;
    const id = event.detail.xhr.getResponseHeader("X-Request-Id");
    const poll = event.detail.requestConfig?.triggeringEvent?.type === "every";
    if (!poll) show(`The server refused this (${status}). Nothing was changed. Request ${id || "unknown"}.`, "error");
  });
  document.addEventListener("htmx:sendError", () => {
    if (!document.querySelector('.toast[data-toast="error"]')) {
      show("The server does not answer. Check the connection, then try again.", "error");
    }
  });
  document.addEventListener("DOMContentLoaded", () => {
    for (const toast of document.querySelectorAll(".toast")) retire(toast);
  });
})();
