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
    toast.querySelector("[data-toast-text]").textContent = text;
    document.getElementById("toasts").append(toast);
    retire(toast);
    return toast;
  }

  document.addEventListener("click", (event) => {
    event.target.closest("[data-dismiss]")?.closest(".toast")?.remove();
  });
  document.addEventListener("toast", (event) => show(event.detail.text, event.detail.state || "success"));
  // What a region asks by itself, nobody waits for: only what somebody did is answered with a complaint.
  const asked = (event) => Boolean(event.detail.requestConfig?.triggeringEvent);
  const lost = () => document.querySelector(".toast[data-lost]");

  document.addEventListener("htmx:responseError", (event) => {
    if (!asked(event)) return;
    const { xhr } = event.detail;
    const id = xhr.getResponseHeader("X-Request-Id") || "unknown";
    show(`The server refused this (${xhr.status}). Nothing was changed. Request ${id}.`, "error");
  });
  document.addEventListener("htmx:sendError", () => {
    if (lost()) return;
    show("The server does not answer. This page shows what it knew last.", "error").dataset.lost = "";
  });
  document.addEventListener("htmx:afterOnLoad", () => lost()?.remove());
  document.addEventListener("DOMContentLoaded", () => {
    for (const toast of document.querySelectorAll(".toast")) retire(toast);
  });
})();
