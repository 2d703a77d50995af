// Everything there is: albums, artists or tracks, a page at a time as the end comes into sight.

import * as api from "../api.js";
import { h } from "../dom.js";
import * as model from "../model.js";
import { albumCard, artistCard, empty, heading, trackRow } from "./parts.js";

const PAGE = 50;
/** Rows shown in one view; who looks for more than this searches. */
const SHOWN_MAX = 5000;
const ORDERS = [["name", "By name"], ["newest", "Newest"], ["played", "Most played"]];
/** A server without a service answers 404: the place is then empty, and says so. */
const NONE = { items: [], total: 0 };

const tabs = (here) => h("nav", { class: "tabs", "aria-label": "Library" }, [["albums", "Albums"], ["artists", "Artists"], ["tracks", "Tracks"]].map(([name, text]) => h("a", { href: `#/${name}`, text, "aria-current": name === here ? "page" : null })));

const albumsPath = (order) => (offset) => `/v1/albums?limit=${PAGE}&offset=${offset}&order=${order}`;

/** @param {import("../main.js").App} app */
export async function albums(app, { query }) {
  const order = ORDERS.some(([name]) => name === query.get("order")) ? query.get("order") : "name";
  // A server without albums still has tracks.
  if (!(await api.getIfThere(albumsPath(order)(0)))) return tracks(app);
  const choose = h("select", { "aria-label": "Order", on: { change: () => app.replace(`#/albums?order=${choose.value}`) } }, ORDERS.map(([value, text]) => h("option", { value, text, selected: value === order })));
  const list = h("ul", { class: "grid", role: "list" });
  const end = await fill(list, albumsPath(order), (raw) => albumCard(app, model.album(raw)));
  return h("div", { class: "view" }, heading("Library", h("label", { class: "select" }, choose)), tabs("albums"), list, end);
}

export async function artists() {
  const list = h("ul", { class: "grid", role: "list" });
  const end = await fill(list, (offset) => `/v1/artists?limit=${PAGE}&offset=${offset}`, (raw) => artistCard(model.artist(raw)));
  return h("div", { class: "view" }, heading("Library"), tabs("artists"), list, end);
}

/** @param {import("../main.js").App} app */
export async function tracks(app) {
  const all = [];
  const list = h("ol", { class: "tracks", role: "list" });
  const end = await fill(list, (offset) => `/v1/tracks?limit=${PAGE}&offset=${offset}`, (raw) => {
    const track = model.track(raw);
    all.push(track);
    return trackRow(app, track, all.length - 1, all, { all: () => all });
  });
  return h("div", { class: "view" }, heading("Library"), tabs("tracks"), list, end);
}

/** Puts the first page into a list and gives the mark that gets the next ones when it is seen. */
async function fill(list, path, make) {
  let shown = 0;
  const next = async () => {
    const page = (await api.getIfThere(path(shown))) ?? NONE;
    const rows = model.items(page, make);
    list.append(...rows);
    shown += rows.length;
    return rows.length > 0 && shown < Math.min(page.total ?? 0, SHOWN_MAX);
  };
  const more = await next();
  if (shown === 0) return empty("Nothing here yet", "What is added to the library appears here.");
  if (!more) return null;
  const mark = h("p", { class: "more-mark", role: "status", text: "More is coming" });
  let busy = false;
  const observer = new IntersectionObserver(async (seen) => {
    if (busy || !seen.some((one) => one.isIntersecting)) return;
    busy = true;
    const goesOn = await next().catch(() => false);
    busy = false;
    if (!goesOn) {
      observer.disconnect();
      return mark.remove();
    }
    // Still in sight? Observing anew tells.
    observer.unobserve(mark);
    observer.observe(mark);
  }, { rootMargin: "800px" });
  observer.observe(mark);
  return mark;
}
