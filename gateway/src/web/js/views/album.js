// One album: its sleeve, its discs and tracks.

import * as api from "../api.js";
import { art } from "../art.js";
import { artistLinks } from "../deck.js";
import { h } from "../dom.js";
import { count, length } from "../format.js";
import * as model from "../model.js";
import { openTrackMenu } from "../trackmenu.js";
import { albumCard, head, pill, roundMore, shelf, trackRow } from "./parts.js";

/** Tracks of the longest album shown; beyond the first page the rest is asked for. */
const TRACKS_MAX = 500;

/** An album with all its tracks. */
export async function loadAlbum(id) {
  const raw = await api.get(`/v1/albums/${api.segment(id)}`);
  const album = model.album(raw);
  const tracks = model.items(raw.tracks, (t) => model.track(t, album));
  while (tracks.length < Math.min(raw.tracks?.total ?? 0, TRACKS_MAX)) {
    const page = await api.getIfThere(`/v1/albums/${api.segment(id)}/tracks?limit=50&offset=${tracks.length}`);
    const more = page ? model.items(page, (t) => model.track(t, album)) : [];
    if (more.length === 0) break;
    tracks.push(...more);
  }
  return { album, tracks, label: typeof raw.label === "string" ? raw.label : "" };
}

/** @param {import("../main.js").App} app */
export async function album(app, { id }) {
  const { album: one, tracks, label } = await loadAlbum(id);
  const discs = [...new Set(tracks.map((track) => track.disc))];
  const facts = [one.year, count(tracks.length, "track"), length(tracks.reduce((sum, track) => sum + track.durationMs, 0)), label].filter(Boolean).join(" · ");
  const view = h("div", { class: "view album" },
    head({
      picture: h("span", { class: "sleeve is-big" }, h("span", { class: "sleeve-disc" }), art(one, 300, { eager: true })),
      kind: { single: "Single", ep: "EP", compilation: "Compilation" }[one.kind] ?? "Album",
      title: one.name,
      lines: [h("p", { class: "head-by" }, artistLinks(one)), h("p", { class: "head-facts", text: facts })],
      actions: [
        pill("Play", "play", (event) => app.playTracks(tracks, 0, event.timeStamp), { class: "big" }),
        pill("Shuffle", "shuffle", (event) => app.shuffleTracks(tracks, event.timeStamp), { class: "quiet" }),
        roundMore(`More for ${one.name}`, (button) => openTrackMenu(app, button, tracks)),
      ],
    }),
    discs.map((disc) => h("section", { class: "block", "aria-label": discs.length > 1 ? `Disc ${disc}` : "Tracks" },
      discs.length > 1 && h("h2", { class: "disc-head", text: `Disc ${disc}` }),
      h("ol", { class: "tracks", role: "list" }, tracks.filter((t) => t.disc === disc).map((track, i) => trackRow(app, track, i, tracks, { numbered: true, cover: false, album: false }))))));
  moreBy(app, one).then((more) => more && view.append(more));
  return view;
}

/** What else the artist made; it comes when the album is already there. */
async function moreBy(app, one) {
  const artist = one.artists[0];
  if (!artist?.id) return null;
  const page = await api.getIfThere(`/v1/artists/${api.segment(artist.id)}/albums?limit=50`).catch(() => null);
  const others = page ? model.items(page, model.album).filter((album) => album.id !== one.id) : [];
  return shelf(`More by ${artist.name}`, others.map((album) => albumCard(app, album)));
}
