// One artist: what is played most, and the records.

import * as api from "../api.js";
import { art } from "../art.js";
import { h } from "../dom.js";
import { count } from "../format.js";
import * as model from "../model.js";
import { albumCard, head, pill, shelf, trackList } from "./parts.js";

const TOP_SHOWN = 6;

/** @param {import("../main.js").App} app */
export async function artist(app, { id }) {
  const path = `/v1/artists/${api.segment(id)}`;
  const [raw, records, top] = await Promise.all([api.get(path), api.getIfThere(`${path}/albums?limit=50`), api.getIfThere(`${path}/top-tracks`)]);
  const one = model.artist(raw);
  const albums = records ? model.items(records, model.album) : [];
  const tracks = top ? model.items(top.tracks ?? top, (t) => model.track(t)) : [];
  const isShort = (album) => album.kind === "single" || album.kind === "ep";
  return h("div", { class: "view artist" },
    head({
      picture: art(one, 240, { round: true, eager: true }),
      kind: "Artist",
      title: one.name,
      lines: [h("p", { class: "head-facts", text: [count(albums.length, "record"), ...one.genres].join(" · ") })],
      actions: tracks.length ? [
        pill("Play", "play", (event) => app.playTracks(tracks, 0, event.timeStamp), { class: "big" }),
        pill("Shuffle", "shuffle", (event) => app.shuffleTracks(tracks, event.timeStamp), { class: "quiet" }),
      ] : [],
    }),
    tracks.length > 0 && h("section", { class: "block" }, h("div", { class: "row-head" }, h("h2", { text: "Most played" })), trackList(app, tracks.slice(0, TOP_SHOWN), { columns: true, album: false, all: () => tracks })),
    shelf("Albums", albums.filter((album) => !isShort(album)).map((album) => albumCard(app, album)), { grid: true }),
    shelf("Singles and EPs", albums.filter(isShort).map((album) => albumCard(app, album)), { grid: true }));
}
