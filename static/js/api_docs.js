// Draws the API reference from the OpenAPI document; requests tried from it are made as the person who is signed in.
"use strict";

const place = document.getElementById("api-docs");
const headers = JSON.parse(document.body.getAttribute("hx-headers") || "{}");

const followTheme = () => {
  const chosen = document.documentElement.dataset.theme;
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.classList.toggle("dark-mode", dark);
};

followTheme();
new MutationObserver(followTheme).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", followTheme);

SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  deepLinking: true,
  docExpansion: "none", // with every operation drawn at once, the page would be slow to come
  defaultModelsExpandDepth: -1,
  validatorUrl: null,
  requestInterceptor: (request) => {
    if (!request.loadSpec) Object.assign(request.headers, headers);
    return request;
  },
});
