// Home: one button that drops the needle somewhere, and the shelves that the server puts together.

import * as api from "../api.js";
import { h } from "../dom.js";
import * as model from "../model.js";
import { albumCard, artistCard, empty, pill, playlistCard, shelf, trackList } from "./parts.js";

const SHELF_ALBUMS = 20;
const SHELF_TRACKS = 12;
/** How often the library is looked at while its first tracks are still being made. */
const LOOK_AGAIN_MS = 2500;

/** @param {import("../main.js").App} app */
export async function home(app) {
  const [said, hint] = await Promise.all([api.getIfThere("/v1/browse/home"), api.getIfThere("/v1/session/hint", { fresh: true })]);
  const blocks = said ? shelves(app, said) : await plain(app);
  if (hint?.ingesting) lookAgain();
  if (blocks.length === 0) return h("div", { class: "view" }, nothing(hint));
  return h("div", { class: "view home" }, hero(app), ...blocks, hint?.ingesting && h("p", { class: "notice", text: "More tracks are being made. They appear here as soon as they can be played." }));
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

function nothing(hint) {
  if (hint?.ingesting) return empty("The first tracks are being made", "They appear here as soon as they can be played.");
  return empty("No music here yet", "Add some on the server: needledrop ingest FOLDER");
}

let timer = 0;
function lookAgain() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (document.documentElement.dataset.route !== "home" || document.hidden) return lookAgain();
    api.forget();
    dispatchEvent(new Event("hashchange"));
  }, LOOK_AGAIN_MS);
}
