// The queue: what plays, and what follows, in an order that can be changed.

import { art } from "../art.js";
import { artOf, artistLinks } from "../deck.js";
import { h } from "../dom.js";
import { clock, count, length, names } from "../format.js";
import { icon } from "../icons.js";
import { empty, heading, pill, trackList } from "./parts.js";

/** Rows shown; a queue can be a thousand tracks long. */
const SHOWN_MAX = 200;

/** @param {import("../main.js").App} app */
export async function queue(app) {
  const root = h("div", { class: "view queue" });
  const draw = () => root.replaceChildren(...content(app));
  draw();
  const redraw = () => {
    if (root.isConnected) return keepFocus(root, draw);
    app.queue.removeEventListener("change", redraw);
  };
  // A frame later the view is on the page, and stays until it is left.
  requestAnimationFrame(() => app.queue.addEventListener("change", redraw));
  return root;
}

/** Drawing anew must not throw away where the keyboard is. */
function keepFocus(root, draw) {
  const { key, does } = document.activeElement?.dataset ?? {};
  draw();
  if (key) (root.querySelector(`[data-key="${key}"][data-does="${does}"]:not(:disabled)`) ?? root.querySelector(`[data-key="${key}"]`))?.focus();
}

function content(app) {
  const { queue: list } = app;
  if (list.items.length === 0) return [heading("Queue"), empty("The queue is empty", "Play something, and what follows it stands here.")];
  const rest = list.items.slice(list.index + 1);
  const facts = rest.length ? `${count(rest.length, "track")}, ${length(rest.reduce((sum, item) => sum + item.track.durationMs, 0))}` : "";
  return [
    heading("Queue", rest.length > 0 && pill("Clear", "close", () => list.clearUpcoming(), { class: "quiet" })),
    list.track && h("section", { class: "block" }, h("div", { class: "row-head" }, h("h2", { text: "Now" })), trackList(app, [list.track], { all: () => list.items.map((item) => item.track) })),
    rest.length > 0 && h("section", { class: "block" }, h("div", { class: "row-head" }, h("h2", { text: "Next" }), h("span", { class: "soft", text: facts })),
      h("ol", { class: "tracks", role: "list" }, rest.slice(0, SHOWN_MAX).map((item, i) => row(app, item, i, rest.length)))),
  ].filter(Boolean);
}

function row(app, item, i, total) {
  const { track, key } = item;
  const tool = (does, name, label, act, disabled) => h("button", { type: "button", class: "key", "aria-label": `${label} ${track.name}`, title: label, disabled, data: { key: String(key), does }, on: { click: act } }, icon(name));
  return h("li", { class: "track has-cover in-queue", data: { id: track.id } },
    h("span", { class: "track-cover", "aria-hidden": "true" }, art(artOf(track), 48), h("span", { class: "needle" })),
    h("span", { class: "two-lines" },
      h("button", { type: "button", class: "track-play line-1", "aria-label": `Play ${track.name}, ${names(track.artists)}`, text: track.name, data: { key: String(key), does: "play" }, on: { click: (event) => app.jump(key, event.timeStamp) } }),
      h("span", { class: "line-2" }, artistLinks(track))),
    h("span", { class: "clock", text: clock(track.durationMs / 1000) }),
    h("span", { class: "row-tools" },
      tool("up", "up", "Earlier:", () => app.queue.move(key, -1), i === 0),
      tool("down", "down", "Later:", () => app.queue.move(key, 1), i === total - 1),
      tool("close", "close", "Take out:", () => app.queue.remove(key), false)));
}
