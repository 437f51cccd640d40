// The public JavaScript client under Node: a store, searches and retrievals, told as JSON on stdout.
// Arguments: the built client, the address of the service, a token. The client speaks XMLHttpRequest,
// which Node has not; what it uses of it is made here over fetch.
import { createRequire } from "node:module";

globalThis.XMLHttpRequest = class {
  headers = {};
  open(method, url) { this.method = method; this.url = url; }
  setRequestHeader(name, value) { this.headers[name] = value; }
  getResponseHeader(name) { return this.got.headers.get(name); }
  getAllResponseHeaders() { return [...this.got.headers].map(([name, value]) => `${name}: ${value}`).join("\r\n"); }
  abort() {}
  async send(body) {
    this.got = await fetch(this.url, { method: this.method, headers: this.headers, body });
    const octets = await this.got.arrayBuffer();
    Object.assign(this, { status: this.got.status, statusText: this.got.statusText, readyState: 2 });
    this.onreadystatechange?.();
    const text = new TextDecoder().decode(octets);
    this.response = this.responseType === "json" ? JSON.parse(text || "[]")
      : this.responseType === "arraybuffer" ? octets : text;
    this.readyState = 4;
    this.onreadystatechange?.();
    this.onloadend?.();
  }
};

const [bundle, url, token] = process.argv.slice(2);
const { api } = createRequire(import.meta.url)(bundle);
const client = new api.DICOMwebClient({ url, headers: { Authorization: `Bearer ${token}` }, verbose: false });
const first = (item, tag) => item[tag].Value[0];

const study = (await client.searchForStudies({ queryParams: { PatientID: "QX-4471-ZEPH" } }))[0];
const names = { studyInstanceUID: first(study, "0020000D") };
const series = await client.searchForSeries(names);
names.seriesInstanceUID = first(series[0], "0020000E");
const instances = await client.searchForInstances(names);
names.sopInstanceUID = first(instances[0], "00080018");
const metadata = await client.retrieveSeriesMetadata(names);
const one = await client.retrieveInstance(names);
const all = await client.retrieveStudy(names);
const frames = await client.retrieveInstanceFrames({ ...names, frameNumbers: [1] });
const picture = await client.retrieveInstanceRendered({ ...names, mediaTypes: [{ mediaType: "image/jpeg" }] });
const bulk = await client.retrieveBulkData({ BulkDataURI: metadata[0]["7FE00010"].BulkDataURI });
const none = await client.searchForStudies({ queryParams: { PatientID: "NOBODY" } });
const name = study["00100010"].Value[0].Alphabetic;
await client.storeInstances({ datasets: [one] });
console.log(JSON.stringify({
  name, series: series.length, instances: instances.length, metadata: metadata.length, one: one.byteLength,
  all: all.length, frame: frames[0].byteLength,
  picture: (picture[0] ?? picture).byteLength, none: none.length,
  bulk: (bulk[0] ?? bulk).byteLength,
}));
