// The turntable: the record that plays, the arm where the needle is, the needle drop and what comes next.

import { art, tint } from "./art.js";
import { artOf, artistLinks } from "./deck.js";
import { h, setText } from "./dom.js";
import { source } from "./drops.js";
import { icon } from "./icons.js";
import { to } from "./router.js";

/** Angles of the arm, in degrees: at rest beside the record, at the first groove, at the last. */
const REST = -9;
const LEAD_IN = 7;
const LEAD_OUT = 25.5;
/** Tracks of "up next" on the stage; the queue has them all. */
const NEXT_MAX = 6;
/** The slowest drop fills the height of the chart, unless it is quicker than this: quick drops stay low. */
const CHART_MS_MIN = 150;

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** The arm, drawn straight down from its pivot at 88, 14 of a field of 100. */
function arm() {
  return svg("svg", { class: "arm", viewBox: "0 0 100 100", "aria-hidden": "true" },
    svg("circle", { class: "arm-base", cx: "88", cy: "14", r: "7.5" }),
    svg("g", { class: "arm-moves" },
      svg("path", { class: "arm-weight", d: "M88 14V4.5" }),
      svg("path", { class: "arm-tube", d: "M88 14V60" }),
      svg("path", { class: "arm-shell", d: "M85.6 58h4.8l-.8 9.5h-3.2z" }),
      svg("path", { class: "arm-needle", d: "M88 66.5v2.2" }),
      svg("circle", { class: "arm-pivot", cx: "88", cy: "14", r: "3.4" })));
}

/** @param {import("./main.js").App} app @param {HTMLElement} root */
export function stage(app, root) {
  const { player, queue, drops } = app;
  const label = h("div", { class: "label" });
  const plinth = h("div", { class: "plinth" }, h("div", { class: "record" }, h("div", { class: "grooves" }), label, h("div", { class: "sheen" })), arm());
  const title = h("h2", { class: "stage-title", text: "Nothing on the turntable" });
  const by = h("p", { class: "stage-by", text: "Pick a record, and the needle drops." });
  const meter = needleMeter(player, drops);
  const list = h("ol", { class: "next-list" });
  const upNext = h("section", { class: "up-next", "aria-labelledby": "up-next-title", hidden: true },
    h("div", { class: "row-head" }, h("h3", { id: "up-next-title", text: "Up next" }), h("a", { href: "#/queue", text: "Queue" })), list);
  const leave = h("button", { type: "button", class: "round stage-close", "aria-label": "Close the turntable", on: { click: () => app.leaveNow() } }, icon("down"));
  root.append(leave, plinth, h("div", { class: "stage-words" }, h("div", { class: "stage-names" }, title, by), meter, upNext));

  const angle = (degrees) => plinth.style.setProperty("--arm", `${degrees}deg`);
  angle(REST);
  player.addEventListener("time", ({ detail: { position, duration } }) => angle(player.track && duration > 0 ? LEAD_IN + (LEAD_OUT - LEAD_IN) * Math.min(1, position / duration) : REST));

  player.addEventListener("track", async ({ detail: { track } }) => {
    setText(title, track?.name ?? "Nothing on the turntable");
    if (!track) {
      label.replaceChildren();
      return angle(REST);
    }
    const album = track.album?.id ? [" · ", h("a", { href: to("album", track.album.id), text: track.album.name })] : [];
    by.replaceChildren(...artistLinks(track), ...album);
    const cover = artOf(track);
    if (label.dataset.of !== cover.id) {
      label.dataset.of = cover.id;
      label.replaceChildren(art(cover, 220, { eager: true }));
      const colour = await tint(cover);
      if (label.dataset.of === cover.id) document.documentElement.style.setProperty("--tint", colour);
    }
  });

  queue.addEventListener("change", () => {
    const from = queue.index + 1;
    const next = queue.items.slice(from, from + NEXT_MAX);
    upNext.hidden = next.length === 0;
    list.replaceChildren(...next.map((item) => h("li", {}, h("button", { type: "button", on: { click: (e) => app.jump(item.key, e.timeStamp) } },
      art(artOf(item.track), 40), h("span", { class: "two-lines" }, h("span", { class: "line-1", text: item.track.name }), h("span", { class: "line-2", text: item.track.artists.map((a) => a.name).join(", ") }))))));
  });
}

/** The promise of the house, measured: the last needle drop, its parts, its source, and those before it. */
function needleMeter(player, drops) {
  const value = h("output", { id: "needle-drop", class: "drop-ms", text: "–" });
  const where = h("p", { class: "drop-source", id: "drop-about", text: "from tap to sound" });
  const parts = h("div", { class: "drop-parts", "aria-hidden": "true" });
  const legend = h("p", { class: "drop-legend" });
  const chart = h("div", { class: "drop-chart", "aria-hidden": "true" });
  const gap = h("p", { class: "drop-gap" });
  const rendition = h("p", { class: "rendition", id: "rendition" });
  player.addEventListener("granted", ({ detail: { grant } }) => {
    const { codec, kbps } = grant.rendition ?? {};
    setText(rendition, kbps ? `${codec === "m4a" ? "AAC" : "Ogg Vorbis"}, ${kbps} kbit/s${grant.reason ? `: ${grant.reason}` : ""}` : "");
  });
  drops.addEventListener("change", () => {
    const drop = drops.last;
    if (drops.gapMs !== null) setText(gap, `Last change of track: ${gapWords(drops.gapMs)}`);
    if (!drop) return;
    const steps = [["sign", drop.grantMs], ["byte", drop.byteMs], ["sound", Math.max(0, drop.ms - drop.grantMs - drop.byteMs)]].filter(([, ms]) => ms >= 0.5);
    const names = { sign: "signed", byte: "first byte", sound: "sound" };
    setText(value, String(Math.round(drop.ms)));
    setText(where, source(drop));
    parts.replaceChildren(...steps.map(([name, ms]) => h("span", { class: `part-${name}`, vars: { "--share": String(ms) } })));
    legend.replaceChildren(...steps.map(([name, ms]) => h("span", { class: `part-${name}`, text: `${names[name]} ${Math.round(ms)}` })));
    const slowest = Math.max(CHART_MS_MIN, ...drops.list.map((one) => one.ms));
    chart.replaceChildren(...drops.list.map((one) => h("i", { vars: { "--tall": String(one.ms / slowest) } })));
  });
  return h("section", { class: "drop", "aria-labelledby": "drop-title" },
    h("div", { class: "drop-head" }, h("h3", { id: "drop-title", text: "Needle drop" }), chart),
    h("p", { class: "drop-value" }, value, h("span", { text: " ms" })), where, parts, legend, rendition, gap);
}

const gapWords = (ms) => (ms <= 5 ? "no gap" : `${Math.round(ms)} ms of silence`);
