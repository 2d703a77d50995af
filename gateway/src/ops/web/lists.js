// What is wanted most, what went wrong, and who did what.

import { h, setText } from "/web/js/dom.js";
import { ago, bytes, moment, ms, short, span } from "./units.js";

/** Kinds of failures in words; others are shown by their names. */
const KINDS = {
  "url-unsigned": "The URL was not signed",
  "url-too-long": "The URL was too long",
  "url-malformed": "The URL was not in canonical form",
  "url-claim-after-signature": "A parameter bore the name of a claim",
  "url-not-genuine": "The signature did not fit",
  "url-not-yet-valid": "The URL was not valid yet",
  "url-expired": "The URL had expired",
  "url-other-network": "The URL was issued to another network",
  "url-shared": "The URL was used from too many networks",
  "network-rate": "Too many requests from one network",
  "neighbourhood-rate": "Too many requests from one neighbourhood",
  "listener-rate": "Too many requests of one listener",
  "not-found": "The origin has no such object",
  "upstream-silent": "The origin did not answer in time",
  "upstream-down": "The origin could not be reached",
  "upstream-broken": "The origin could not deliver",
  "body-reset": "An answer broke in the middle",
  "too-early": "Sent back until the handshake was done",
  path: "Not the path of an object",
  method: "Neither GET nor HEAD",
  draining: "Asked while draining",
  overloaded: "The edge was too busy",
  loop: "The request went in circles",
};

const ACTS = { drain: "drained", undrain: "took back into service", purge: "purged" };

const card = (id, title, about, ...children) => h("section", { class: "card", "aria-labelledby": id }, h("header", { class: "card-head" }, h("h2", { id, text: title }), ...children), about);

/** The most wanted objects. */
export class Top {
  /** @param {{ purge: (object?: any) => void }} acts */
  constructor(acts) {
    this.acts = acts;
    this.about = h("p", { class: "card-about" });
    this.list = h("ol", { class: "top-list", role: "list" });
    this.element = card("top-title", "Most wanted", this.about, h("button", { type: "button", class: "pill quiet small", id: "purge", on: { click: () => acts.purge() }, text: "Purge…" }));
    this.element.append(this.list);
  }

  draw(top, now) {
    const { objects } = top;
    setText(this.about, top.requests ? `${short(top.requests)} requests in the last ${span(now - top.since)}` : "No object was asked for in the last minutes.");
    const most = objects[0]?.count ?? 1;
    // A list that has not changed is left alone, and with it what is focused in it.
    const print = JSON.stringify(objects);
    if (this.print === print) return;
    this.print = print;
    const held = this.list.contains(document.activeElement) ? document.activeElement.dataset.path : null;
    this.list.replaceChildren(...objects.map((object) => this.row(object, most)));
    if (held) this.list.querySelector(`[data-path="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
  }

  row(object, most) {
    const { name, sub } = called(object);
    const about = object.error ? `${short(object.count - object.error)} to ${short(object.count)}` : short(object.count);
    return h("li", { class: "top-row", vars: { "--share": `${((object.count / most) * 100).toFixed(1)}%` } },
      h("div", { class: "two" }, h("b", { text: name }), h("span", { class: "sub", title: object.path, text: sub })),
      h("div", { class: "top-count" }, h("b", { text: about }), h("span", { class: "sub", text: bytes(object.bytes) })),
      h("button", { type: "button", class: "act", data: { path: object.path }, "aria-label": `Purge ${name}, ${sub}`, on: { click: () => this.acts.purge(object) }, text: "Purge…" }));
  }
}

/** What the catalog calls an object, else its path. */
export function called(object) {
  const form = object.rendition?.replace(/^(\d+)\.(\w+)$/, "$1 kbit/s $2");
  if (object.name) return { name: object.name, sub: [object.by, form].filter(Boolean).join(" · ") };
  if (object.kind === "art") return { name: "Artwork", sub: object.path.split("/").slice(-2).join("/").replace(/^(.{10})[^/]*/, "$1…") };
  return { name: object.path.split("/").at(-1), sub: object.path };
}

/** Failures by kind, each with its last examples. */
export class Errors {
  constructor() {
    this.about = h("p", { class: "card-about" });
    this.list = h("ul", { class: "error-list", role: "list" });
    this.element = card("errors-title", "What went wrong", this.about);
    this.element.append(this.list);
  }

  draw(kinds, now) {
    const total = kinds.reduce((sum, kind) => sum + kind.count, 0);
    setText(this.about, total ? `${short(total)} since the edges started` : "Nothing, since the edges started.");
    // Who reads an example keeps it open; only the numbers change.
    const known = new Map([...this.list.children].map((item) => [item.dataset.kind, item]));
    this.list.replaceChildren(...kinds.map((kind) => {
      const item = known.get(kind.kind) ?? this.item(kind);
      setText(item.querySelector(".error-count"), short(kind.count));
      setText(item.querySelector(".error-last"), kind.recent[0] ? `last ${ago(kind.recent[0].at, now)}` : "");
      item.querySelector("ol").replaceChildren(...kind.recent.map((example) => h("li", {},
        h("span", { class: "example-what" }, h("b", { text: String(example.status) }), ` ${example.method} `, h("code", { text: example.path })),
        h("span", { class: "sub", text: `${moment(example.at)} · ${example.edge} · ${example.client} · ${example.protocol} · ${ms(example.took_us / 1000)}` }))));
      return item;
    }));
  }

  item(kind) {
    return h("li", { data: { kind: kind.kind } }, h("details", {},
      h("summary", {}, h("span", { class: "two" }, h("b", { text: KINDS[kind.kind] ?? kind.kind.replaceAll("-", " ") }), h("span", { class: "sub error-last" })), h("b", { class: "error-count" })),
      h("ol", { class: "examples", role: "list" })));
  }
}

/** Who did what. */
export class Audit {
  /** @param {(before?: number) => Promise<any>} read */
  constructor(read) {
    this.read = read;
    this.list = h("ol", { class: "audit", role: "list" });
    this.none = h("p", { class: "card-about", text: "Nobody has drained or purged anything yet." });
    this.more = h("button", { type: "button", class: "pill quiet", hidden: true, text: "Older", on: { click: () => this.older() } });
    this.element = card("audit-title", "Who did what", this.none);
    this.element.append(this.list, this.more);
  }

  async refresh() {
    const { items, more_before: before } = await this.read();
    this.none.hidden = items.length > 0;
    this.list.replaceChildren(...items.map(line));
    this.rest(before);
  }

  async older() {
    const { items, more_before: before } = await this.read(this.before);
    this.list.append(...items.map(line));
    this.rest(before);
  }

  rest(before) {
    this.before = before;
    this.more.hidden = !before;
  }
}

function line(item) {
  const what = item.act === "purge" ? item.target : item.edges;
  return h("li", { data: { outcome: item.outcome } },
    h("time", { datetime: new Date(item.at * 1000).toISOString(), text: moment(item.at) }),
    h("span", { class: "two" }, h("span", {}, h("b", { text: item.name }), ` ${ACTS[item.act] ?? item.act} `, h("code", { text: what })), h("span", { class: "sub", text: item.words || "nobody knows what came of it" })),
    h("span", { class: "outcome", data: { outcome: item.outcome }, text: item.outcome }));
}
