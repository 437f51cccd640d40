// The one-time link: its secret is in the fragment, which no server and no log ever sees; it is sent once.
"use strict";
(() => {
  const form = document.querySelector("#set-up-start");
  if (!form) return;
  const start = () => {
    const secret = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
    document.querySelector("#no-link").hidden = Boolean(secret);
    form.hidden = !secret;
    if (!secret) return;
    form.elements.secret.value = secret;
    if (!form.dataset.code) form.requestSubmit();
  };
  start();
  // the link, opened in the tab that shows this page already: only the fragment changes, nothing is loaded anew
  addEventListener("hashchange", () => { if (location.hash) start(); });
})();
