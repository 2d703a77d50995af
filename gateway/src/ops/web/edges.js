// The edges: how each stands, since when, what it does now, and what can be done to it.

import { h, setText } from "/web/js/dom.js";
import { ago, bits, bytes, moment, ms, percent, perSecond, span } from "./units.js";

/** Edges shown before somebody asks for all of them. */
const SHOWN = 12;
const STATES = { up: "Up", starting: "Starting", draining: "Draining", unreachable: "Unreachable", unknown: "Not seen yet" };
const ORDER = ["unreachable", "draining", "starting", "unknown", "up"];
/** Days of a certificate that are few. */
const DAYS_FEW = 21;

export const stateWord = (state) => STATES[state] ?? state;

export class Edges {
  /** @param {{ drain: (edge: any) => void }} acts */
  constructor(acts) {
    this.acts = acts;
    this.all = false;
    this.text = "";
    this.count = h("span", { class: "soft" });
    this.filter = h("input", { type: "search", placeholder: "Name, region or state", "aria-label": "Filter the edges", spellcheck: "false", autocomplete: "off", on: { input: () => { this.text = this.filter.value.trim().toLowerCase(); this.paint(); } } });
    this.more = h("button", { type: "button", class: "pill quiet", on: { click: () => { this.all = !this.all; this.paint(); } } });
    this.rows = h("tbody", { role: "rowgroup" });
    const heads = ["State", "Edge", "Requests", "From cache", "Start p95", "Sent", "Cache", "Certificate", ""];
    this.element = h("section", { class: "card edges", "aria-labelledby": "edges-title" },
      h("header", { class: "card-head" }, h("h2", { id: "edges-title", text: "Edges" }), this.count, this.filter),
      h("table", { role: "table", "aria-labelledby": "edges-title" },
        h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((text) => h("th", { role: "columnheader", scope: "col" }, text || h("span", { class: "visually-hidden", text: "Actions" }))))),
        this.rows),
      this.more);
  }

  draw(edges, now) {
    this.edges = [...edges].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || (a.region ?? "").localeCompare(b.region ?? "") || a.name.localeCompare(b.name));
    this.now = now;
    this.paint();
  }

  paint() {
    const matches = this.edges.filter((edge) => !this.text || `${edge.name} ${edge.region ?? ""} ${stateWord(edge.state)}`.toLowerCase().includes(this.text));
    const shown = this.all || this.text ? matches : matches.slice(0, SHOWN);
    const regions = new Set(this.edges.map((edge) => edge.region ?? ""));
    setText(this.count, `${this.edges.length} in ${regions.size} ${regions.size === 1 ? "region" : "regions"}`);
    this.filter.hidden = this.edges.length <= 6;
    this.more.hidden = Boolean(this.text) || matches.length <= SHOWN;
    setText(this.more, this.all ? "Show fewer" : `Show all ${matches.length} edges`);
    const held = this.rows.contains(document.activeElement) ? document.activeElement.dataset.edge : null;
    this.rows.replaceChildren(...shown.map((edge) => this.row(edge)));
    if (shown.length === 0) this.rows.append(h("tr", { role: "row" }, h("td", { role: "cell", class: "none", colspan: "9", text: "No edge matches." })));
    if (held) this.rows.querySelector(`[data-edge="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
  }

  row(edge) {
    const { rates } = edge;
    const cell = (label, ...children) => h("td", { role: "cell", data: { label } }, ...children);
    const draining = edge.state === "draining";
    const act = h("button", { type: "button", class: "act", "aria-label": `${draining ? "Take requests again at" : "Drain"} ${edge.name}`, data: { edge: edge.name }, disabled: ["unreachable", "unknown"].includes(edge.state), on: { click: () => this.acts.drain(edge) }, text: draining ? "Undrain…" : "Drain…" });
    return h("tr", { role: "row", data: { state: edge.state } },
      h("td", { role: "cell", class: "state-cell" }, h("span", { class: "state", data: { state: edge.state } }, stateWord(edge.state)), edge.since && h("span", { class: "sub", title: new Date(edge.since * 1000).toLocaleString("en-GB"), text: `for ${span(this.now - edge.since)}` })),
      h("th", { role: "rowheader", scope: "row", class: "edge-cell" }, h("b", { text: edge.name }), h("span", { class: "sub", text: [edge.region ?? "no region", edge.version && `v${edge.version}`, edge.built_in && "in this process"].filter(Boolean).join(" · ") }),
        edge.trouble && h("span", { class: "sub trouble-words", text: trouble(edge, this.now) })),
      cell("Requests", perSecond(rates?.requests), rates?.failed > 0 && h("span", { class: "sub trouble-words", text: `${perSecond(rates.failed)} fail` })),
      cell("From cache", percent(rates?.hit_ratio)),
      cell("Start p95", ms(rates?.classes?.head?.p95_ms)),
      cell("Sent", bits(rates?.bytes)),
      cell("Cache", fillBar(edge.cache)),
      cell("Certificate", certificate(edge, this.now)),
      h("td", { role: "cell", class: "act-cell" }, act));
  }
}

const trouble = (edge, now) => (edge.heard ? `${edge.trouble}; last heard ${ago(edge.heard, now)}` : edge.trouble);

function fillBar(cache) {
  if (!cache?.slots) return "–";
  const share = (n) => `${((n / cache.slots) * 100).toFixed(1)}%`;
  const full = (cache.heads + cache.bodies) / cache.slots;
  const words = `${percent(full)} of ${bytes(cache.slots * cache.block_bytes)}`;
  return h("span", { class: "fill-cell", title: `${cache.heads} blocks of heads, ${cache.bodies} of bodies, ${cache.pinned} pinned, room for ${cache.slots}` },
    h("span", { class: "fill", "aria-hidden": "true", vars: { "--heads": share(cache.heads), "--bodies": share(cache.bodies) } }),
    h("span", { class: "sub", text: cache.pinned ? `${words}, ${cache.pinned} pinned` : words }));
}

function certificate(edge, now) {
  const days = edge.certificate_until ? Math.floor((edge.certificate_until - now) / 86400) : null;
  const words = days === null ? "none" : days < 0 ? "ended" : `${days} days`;
  const few = days !== null && days < DAYS_FEW;
  const keys = (edge.keys ?? []).filter((key) => key.state !== "retired");
  const signing = keys.find((key) => key.state === "signing");
  return [h("span", { class: few ? "trouble-words" : "", title: days === null ? "" : `until ${moment(edge.certificate_until)}`, text: edge.keys ? words : "–" }),
    edge.keys && h("span", { class: "sub", title: keys.map((key) => `${key.id} (${key.state})`).join(", "), text: signing ? `key ${signing.id}` : "no signing key" })];
}
