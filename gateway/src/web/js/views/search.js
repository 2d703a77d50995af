// Search as you type. Answers that come after a later question are dropped.

import * as api from "../api.js";
import { $, h } from "../dom.js";
import * as model from "../model.js";
import { episodeList, showCard } from "./podcasts.js";
import { albumCard, artistCard, empty, playlistCard, shelf, trackList } from "./parts.js";

/** A pause this short is between two letters of a word. */
const TYPING_MS = 120;
const TYPES = "artist,album,track,playlist,show,episode";

/** Wires the field in the top bar. @param {import("../main.js").App} app */
export function wireSearch(app) {
  const field = $("search");
  let timer = 0;
  const look = () => {
    clearTimeout(timer);
    const hash = address(field.value);
    if (document.documentElement.dataset.route === "search") app.replace(hash);
    else if (field.value.trim()) app.go(hash);
  };
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, TYPING_MS);
  });
  $("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    look();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return field.value ? undefined : field.blur();
    if (event.key !== "ArrowDown") return;
    event.preventDefault();
    $("main").querySelector("a, button")?.focus();
  });
}

const address = (text) => (text.trim() ? `#/search?q=${encodeURIComponent(text.trim())}` : "#/search");

let running = null;

/** @param {import("../main.js").App} app */
export async function search(app, { query }) {
  const q = (query.get("q") ?? "").trim();
  const field = $("search");
  if (document.activeElement !== field && field.value.trim() !== q) field.value = q;
  running?.abort();
  if (!q) return h("div", { class: "view" }, empty("What would you like to hear?", "Songs, records, artists and playlists are found as you type."));
  running = new AbortController();
  const said = await api.get(api.withQuery("/v1/search", { q, type: TYPES, limit: "20" }), { signal: running.signal }).catch((error) => {
    if (api.isMissing(error)) return null;
    throw error;
  });
  if (!said) return h("div", { class: "view" }, empty("No search here", "This server has no search service."));
  const artists = model.items(said.artists, model.artist);
  const albums = model.items(said.albums, model.album);
  const tracks = model.items(said.tracks, (t) => model.track(t));
  const playlists = model.items(said.playlists, model.playlist);
  const shows = model.items(said.shows, model.show);
  const episodes = model.items(said.episodes, (e) => model.episode(e));
  if ([artists, albums, tracks, playlists, shows, episodes].every((found) => found.length === 0)) return h("div", { class: "view" }, empty(`Nothing for “${q}”`, "Check the spelling, or try fewer letters."));
  return h("div", { class: "view" },
    h("h1", { class: "visually-hidden", tabindex: "-1", text: `Search: ${q}` }),
    tracks.length > 0 && h("section", { class: "block" }, h("div", { class: "row-head" }, h("h2", { text: "Songs" })), trackList(app, tracks, { columns: true, album: false })),
    shelf("Records", albums.map((album) => albumCard(app, album))),
    shelf("Artists", artists.map(artistCard)),
    shelf("Playlists", playlists.map(playlistCard)),
    shelf("Podcasts", shows.map(showCard)),
    episodes.length > 0 && h("section", { class: "block" }, h("div", { class: "row-head" }, h("h2", { text: "Episodes" })), episodeList(app, episodes)));
}
