// The one-time link: its secret is in the fragment, which no server and no log ever sees; it is sent once.
"use strict";
(() => {
  const form = document.querySelector("#set-up-start");
  if (!form) return;
  const secret = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  if (!secret) { document.querySelector("#no-link").hidden = false; form.hidden = true; return; }
  form.elements.secret.value = secret;
  if (!form.dataset.code) form.requestSubmit();
})();
