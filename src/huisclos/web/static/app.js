// What every page has: search as one types, pieces that keep themselves fresh, forms that do not reload
// twice, copying, and the idle lock. A page works without it; nothing here talks to another origin.
"use strict";
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- search as one types: the answer replaces the list; a newer question cancels the older
  const search = one("[data-search]");
  if (search) {
    const target = one(search.dataset.search);
    const failed = one("[data-failed]");
    let running = null;
    let waiting = 0;
    const ask = async (offset = 0) => {
      if (running) running.abort();
      running = new AbortController();
      target.setAttribute("aria-busy", "true");
      waiting = 0;
      const body = new URLSearchParams(new FormData(search));
      body.set("offset", offset);
      try {
        const answer = await fetch(search.action, {
          method: "POST", body, signal: running.signal, headers: { "X-Piece": "yes" }, redirect: "error",
        });
        if (answer.status === 401 || answer.status === 503) { location.reload(); return; }
        if (!answer.ok) throw new Error(answer.status);
        target.innerHTML = await answer.text();
        target.classList.remove("busy");
        failed.hidden = true;
      } catch (error) {
        if (error.name === "AbortError") return;
        target.classList.add("busy");
        failed.hidden = false;
      }
      target.removeAttribute("aria-busy");
    };
    search.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
    search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(ask, 60); });
    target.addEventListener("click", (event) => {
      const turn = event.target.closest("[data-offset]");
      if (turn) { event.preventDefault(); ask(turn.dataset.offset).then(() => scrollTo(0, 0)); }
    });
    // up, down, enter from the search field itself
    search.addEventListener("keydown", (event) => {
      const rows = all("tr.go", target);
      if (!rows.length || !["ArrowDown", "ArrowUp", "Enter"].includes(event.key)) return;
      let at = rows.findIndex((row) => row.classList.contains("at"));
      if (event.key === "Enter") {
        // the only one that was found needs no choosing, once what was typed has been answered
        if (at < 0 && rows.length === 1 && !waiting && !target.hasAttribute("aria-busy")) at = 0;
        if (at >= 0) { event.preventDefault(); one("a", rows[at]).click(); }
        return;
      }
      event.preventDefault();
      rows[at]?.classList.remove("at");
      at = Math.max(0, Math.min(rows.length - 1, at + (event.key === "ArrowDown" ? 1 : -1)));
      rows[at].classList.add("at");
      rows[at].scrollIntoView({ block: "nearest" });
      const said = one("#search-said");
      if (said) said.textContent = one("a", rows[at]).textContent;
    });
    document.addEventListener("keydown", (event) => {
      const field = one("input", search);
      if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) {
        event.preventDefault(); field.focus(); field.select();
      }
    });
  }
  document.addEventListener("click", (event) => {
    const row = event.target.closest("tr.go");
    if (row && !event.target.closest("a, button, input, form")) one("a", row).click();
  });

  // --- on a telephone the pages are a row that scrolls: the one that is shown is brought into sight
  const row = one(".nav");
  const here = row && one('[aria-current="page"]', row);
  if (here) row.scrollLeft = Math.max(0, here.offsetLeft - row.offsetLeft - (row.clientWidth - here.offsetWidth) / 2);

  // --- pieces that keep themselves fresh
  for (const piece of all("[data-fresh]")) {
    const [url, seconds] = piece.dataset.fresh.split(" ");
    setInterval(async () => {
      if (document.hidden || piece.contains(document.activeElement)) return;
      try {
        const answer = await fetch(url, { headers: { "X-Piece": "yes" }, redirect: "error" });
        if (answer.ok) piece.innerHTML = await answer.text();
      } catch { /* the next turn will tell */ }
    }, Number(seconds) * 1000);
  }

  // --- pieces that are read only when somebody comes to see them
  const near = new IntersectionObserver((seen) => {
    for (const { target, isIntersecting } of seen) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      target.setAttribute("aria-busy", "true");
      fetch(target.dataset.load, { headers: { "X-Piece": "yes" }, redirect: "error" })
        .then(async (answer) => { if (answer.ok) target.innerHTML = await answer.text(); }, () => {})
        .finally(() => target.removeAttribute("aria-busy"));
    }
  }, { rootMargin: "200px" });
  for (const piece of all("[data-load]")) near.observe(piece);

  // --- a form is sent once
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.target === "_blank") return;
    setTimeout(() => all("button", form).forEach((button) => { button.disabled = true; }), 0);
    setTimeout(() => all("button", form).forEach((button) => { button.disabled = false; }), 8000);
  });

  // --- copying, printing
  document.addEventListener("click", (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      navigator.clipboard.writeText(one(copy.dataset.copy).textContent.trim()).then(() => {
        copy.textContent = copy.dataset.done;
      });
    }
    if (event.target.closest("[data-print]")) print();
    for (const open of all("details.menu[open]")) if (!open.contains(event.target)) open.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const open of all("details.menu[open]")) open.open = false;
  });

  // --- a picture that cannot be made says so
  document.addEventListener("error", (event) => {
    const image = event.target;
    if (image.tagName !== "IMG" || !image.dataset.absent) return;
    image.replaceWith(document.createTextNode(image.dataset.absent));
  }, true);

  // --- the idle lock: what a person does keeps the session awake, what a page does by itself does not
  const idle = Number(document.body.dataset.idle || 0);
  if (idle) {
    let last = Date.now();
    let told = Date.now();
    const leave = () => location.replace("/confirm?idle=1");
    const note = () => {
      if (Date.now() - last > idle * 1000) return leave();
      last = Date.now();
      if (last - told > 60000) {
        told = last;
        fetch("/awake", { method: "POST", headers: { "X-Piece": "yes" } }).then((answer) => {
          if (answer.status === 401) leave();
        }, () => {});
      }
    };
    for (const kind of ["pointerdown", "keydown", "wheel", "touchstart"]) {
      addEventListener(kind, note, { passive: true, capture: true });
    }
    setInterval(() => { if (Date.now() - last > idle * 1000) leave(); }, 5000);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && Date.now() - last > idle * 1000) leave();
    });
  }
})();
