// Home: one button that drops the needle somewhere, and the shelves that the server puts together.

import * as api from "../api.js";
import { $, h } from "../dom.js";
import * as model from "../model.js";
import { making } from "./making.js";
import { albumCard, artistCard, empty, pill, playlistCard, shelf, trackList } from "./parts.js";

const SHELF_ALBUMS = 20;
const SHELF_TRACKS = 12;

/** @param {import("../main.js").App} app */
export async function home(app) {
  const [said, ingest] = await Promise.all([api.getIfThere("/v1/browse/home"), api.getIfThere("/v1/ingest", { fresh: true })]);
  const blocks = said ? shelves(app, said) : await plain(app);
  const progress = making(ingest, () => moreToHear(app));
  if (blocks.length === 0) return h("div", { class: "view" }, nothing(ingest), progress);
  return h("div", { class: "view home" }, hero(app), progress, ...blocks);
}

/** Draws home anew, unless somebody is in the middle of it: then a button offers to. */
function moreToHear(app) {
  const again = () => {
    api.forget();
    app.reload();
  };
  const inUse = $("main").contains(document.activeElement) && document.activeElement.matches("a, button");
  if (!inUse) return again();
  if (!$("show-new")) $("making")?.append(pill("Show what is new", null, again, { class: "quiet", id: "show-new" }));
}

function hero(app) {
  const name = app.me?.display_name;
  const part = ["Up late", "Good morning", "Good afternoon", "Good evening"][Math.floor(new Date().getHours() / 6)];
  return h("header", { class: "hero" },
    h("div", { class: "hero-words" }, h("h1", { tabindex: "-1", text: name ? `${part}, ${name}` : part }), h("p", { text: "Choose a record, or let the needle choose." })),
    pill("Drop the needle", "play", (event) => app.dropAnywhere(event.timeStamp), { class: "big", id: "drop-anywhere" }));
}

function shelves(app, said) {
  return (said.shelves ?? []).map((one) => {
    const title = String(one.title ?? "");
    if (one.tracks?.length) return tracksBlock(app, title, model.items(one.tracks, (t) => model.track(t)));
    if (one.albums?.length) return shelf(title, model.items(one.albums, model.album).slice(0, SHELF_ALBUMS).map((album) => albumCard(app, album)), { href: one.id === "recent" ? "#/albums" : undefined });
    if (one.artists?.length) return shelf(title, model.items(one.artists, model.artist).map(artistCard));
    if (one.playlists?.length) return shelf(title, model.items(one.playlists, model.playlist).map(playlistCard));
    return null;
  }).filter(Boolean);
}

/** A server that puts no shelves together still has albums, or at least tracks. */
async function plain(app) {
  const [albums, tracks] = await Promise.all([api.getIfThere("/v1/albums?limit=20&order=newest"), api.getIfThere("/v1/tracks?limit=50")]);
  return [
    albums && shelf("Records", model.items(albums, model.album).map((album) => albumCard(app, album)), { href: "#/albums" }),
    tracks?.items?.length ? tracksBlock(app, "Tracks", model.items(tracks, (t) => model.track(t)), 50) : null,
  ].filter(Boolean);
}

function tracksBlock(app, title, tracks, most = SHELF_TRACKS) {
  const shown = tracks.slice(0, most);
  return h("section", { class: "block" }, h("div", { class: "row-head" }, h("h2", { text: title })), trackList(app, shown, { album: false, columns: true }));
}

function nothing(ingest) {
  if (ingest?.running) return empty("The first tracks are being made", "They appear here as soon as they can be played.");
  return empty("No music here yet", "Start with your own: needledrop up --music FOLDER");
}
