// Drag and drop: files and folders, three at a time, each sent as it is and sealed as it arrives.
"use strict";
(() => {
  const zone = document.querySelector(".drop-zone");
  if (!zone) return;
  const words = zone.dataset;
  const picker = zone.querySelector("input");
  const progress = document.querySelector("#upload-progress");
  const bar = progress.querySelector("progress");
  const tally = document.querySelector("#upload-tally");
  const refused = document.querySelector("#upload-refused");
  const queue = [];
  const counts = { stored: 0, duplicate: 0, alternative: 0, held: 0, refused: 0 };
  let total = 0, done = 0, octets = 0, sent = 0, running = 0;
  const flying = new Map();

  const show = () => {
    progress.hidden = false;
    bar.max = Math.max(octets, 1);
    bar.value = sent + [...flying.values()].reduce((sum, part) => sum + part, 0);
    const parts = { kept: counts.stored + counts.alternative, duplicate: counts.duplicate, held: counts.held, refused: counts.refused };
    const told = Object.entries(parts).filter(([, number]) => number).map(([part, number]) => words[number === 1 ? part + "One" : part].replace("{number}", number));
    tally.textContent = (told.length ? words.told : words.tally)
      .replace("{done}", done).replace("{total}", total).replace("{parts}", told.join(", "));
    document.querySelector("#upload-held").hidden = !counts.held;
    if (done === total && total) document.querySelector("#upload-end").hidden = false;
  };
  const refuse = (file, why) => {
    counts.refused += 1;
    const row = document.createElement("li");
    const name = document.createElement("strong");
    name.textContent = file.name;
    row.append(name, " – " + why);
    refused.append(row);
    refused.hidden = false;
  };
  const send = (file) => new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/upload");
    request.setRequestHeader("Content-Type", "application/dicom");
    request.responseType = "json";
    request.upload.onprogress = (event) => { flying.set(file, event.loaded); show(); };
    request.onloadend = () => {
      const answer = request.response || {};
      if (request.status === 200 && answer.outcome in counts) counts[answer.outcome] += 1;
      else if (request.status === 401) location.reload();
      else refuse(file, /\.zip$/i.test(file.name) ? words.zip : answer.reason || words.failed);
      flying.delete(file);
      done += 1; sent += file.size;
      show(); resolve();
    };
    request.send(file);
  });
  const run = async () => {
    while (queue.length && running < 3) {
      running += 1;
      send(queue.shift()).then(() => { running -= 1; run(); });
    }
  };
  const add = (file) => { total += 1; octets += file.size; queue.push(file); show(); run(); };

  const walk = async (entry) => {
    if (entry.isFile) {
      await new Promise((resolve) => entry.file((file) => { add(file); resolve(); }, resolve));
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const batch = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
      if (!batch.length) return;
      for (const inner of batch) await walk(inner);
    }
  };
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    // both are read before anything is awaited: the list is emptied when this handler ends
    const dropped = [...event.dataTransfer.items].map((item) => [item.webkitGetAsEntry(), item.getAsFile()]);
    dropped.forEach(([entry, file]) => { if (entry) walk(entry); else if (file) add(file); });
  });
  picker.addEventListener("change", () => { [...picker.files].forEach(add); picker.value = ""; });
  document.querySelectorAll(".no-script").forEach((node) => { node.hidden = true; });
  addEventListener("beforeunload", (event) => { if (done < total) event.preventDefault(); });
})();
