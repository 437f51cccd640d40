// Opens the viewer on one study. The ticket stands in the fragment; the grant it is exchanged for lives in
// this script's memory only: no cookie, no storage, no service worker. When the page goes, so does the grant.
"use strict";
(() => {
  const page = document.currentScript.dataset;
  const notice = document.querySelector("#notice");
  const say = (kind) => {
    for (const one of notice.querySelectorAll("[data-when]")) one.hidden = one.dataset.when !== kind;
    notice.hidden = false;
    document.querySelector("#root").hidden = true;
  };
  const [ticket, language] = location.hash.slice(1).split(".");
  // what stands above the viewer speaks its person's language, and goes once the recovery key is confirmed
  const warned = async () => {
    const warning = document.querySelector("#warning");
    if (!warning) return;
    try {
      const answer = await fetch("/warning", { headers: language ? { "Accept-Language": language } : {} });
      if (answer.ok) warning.outerHTML = (await answer.text()).trim();
    } catch { /* the next turn will tell */ }
  };
  addEventListener("focus", warned);
  if (language && language !== document.documentElement.lang) warned();
  history.replaceState(null, "", "/open");
  if (!ticket) return say("none");

  // what the viewer would keep on disk (names among it) lives in memory: storage, and its own cookie
  const memory = () => {
    const held = new Map();
    return {
      get length() { return held.size; },
      key: (at) => [...held.keys()][at] ?? null,
      getItem: (name) => held.get(String(name)) ?? null,
      setItem: (name, value) => { held.set(String(name), String(value)); },
      removeItem: (name) => { held.delete(String(name)); },
      clear: () => held.clear(),
    };
  };
  for (const name of ["localStorage", "sessionStorage"]) {
    Object.defineProperty(window, name, { value: memory(), configurable: false });
  }
  if (/^[a-z]{2}$/.test(language || "")) {
    // where the viewer looks for the language that its person has chosen
    localStorage.setItem("i18nextLng", language);
    document.documentElement.lang = language;
  }
  Object.defineProperty(document, "cookie", { get: () => "", set: () => {}, configurable: false });

  const source = (base) => ({
    namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
    sourceName: "huisclos",
    configuration: {
      friendlyName: "huisclos", name: "huisclos",
      wadoUriRoot: base, qidoRoot: base, wadoRoot: base,
      qidoSupportsIncludeField: true, supportsReject: false, supportsStow: false, dicomUploadEnabled: false,
      imageRendering: "wadors", thumbnailRendering: "wadors", enableStudyLazyLoad: true,
      supportsFuzzyMatching: true, supportsWildcard: true, staticWado: false,
      singlepart: "bulkdata,video,pdf", bulkDataURI: { enabled: true, relativeResolution: "studies" },
      omitQuotationForMultipartRequest: true,
    },
  });

  const begin = (grant) => {
    const base = location.origin + "/grant/" + grant.secret + "/dicom-web";
    window.PUBLIC_URL = "/";
    window.browserImportFunction = (module) => import(module);
    window.config = {
      routerBasename: "/", extensions: [], modes: [], 
      // the viewer's own tour would stand between a physician and the image
      customizationService: [{ "ohif.tours": { $set: [] } }],
      whiteLabeling: {
        createLogoComponentFn: (React) => React.createElement("span", { className: "huisclos-mark" }, "huisclos"),
      },
      showStudyList: false, showWarningMessageForCrossOrigin: false, showCPUFallbackMessage: true,
      showLoadingIndicator: true, strictZSpacingForVolumeViewport: true, maxNumberOfWebWorkers: 3,
      maxNumRequests: { interaction: 100, thumbnail: 20, prefetch: 10 },
      investigationalUseDialog: { option: "never" },
      defaultDataSourceName: "huisclos",
      dataSources: [source(base)],
    };
    history.replaceState(null, "", "/viewer?StudyInstanceUIDs=" + grant.study);
    for (const name of page.scripts.split(" ")) {
      const script = document.createElement("script");
      script.src = name;
      script.async = false;
      document.head.append(script);
    }
    watch("/grant/" + grant.secret + "/awake");
  };

  // the grant is renewed while the page lives; only what its person does keeps the screen awake
  const watch = (address) => {
    let moved = true;
    for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"]) {
      addEventListener(kind, () => { moved = true; }, { passive: true, capture: true });
    }
    setInterval(async () => {
      warned();
      const active = moved;
      moved = false;
      try {
        const answer = await fetch(address, {
          method: "POST", headers: { "Content-Type": "application/x-www-form-urlencoded" },
          body: "active=" + (active ? "1" : ""),
        });
        if (answer.status === 401 || answer.status === 503) { document.querySelector("#root").replaceChildren(); say("over"); }
      } catch { /* the next turn will tell */ }
    }, 45000);
  };

  fetch("/open", {
    method: "POST", headers: { "Content-Type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ ticket }),
  }).then((answer) => (answer.ok ? answer.json().then(begin) : say("over")), () => say("over"));
})();
