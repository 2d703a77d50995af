// The pieces that views are made of: shelves of records, rows of tracks, headings, and words for an empty place.

import { art } from "../art.js";
import { artOf, artistLinks } from "../deck.js";
import { h } from "../dom.js";
import { clock, names } from "../format.js";
import { icon } from "../icons.js";
import { to } from "../router.js";
import { openTrackMenu } from "../trackmenu.js";

/** @typedef {import("../main.js").App} App */

/** A record in its sleeve, which peeks out when it is pointed at. */
export function albumCard(app, album) {
  const sub = [album.year, album.kind === "album" ? "" : album.kind === "ep" ? "EP" : album.kind].filter(Boolean).join(" · ");
  return card({
    href: to("album", album.id),
    picture: h("span", { class: "sleeve" }, h("span", { class: "sleeve-disc" }), art(album, 180)),
    name: album.name,
    sub: names(album.artists) || sub,
    play: album.id && ((event) => app.playAlbum(album.id, event.timeStamp)),
  });
}

export const artistCard = (artist) => card({ href: to("artist", artist.id), picture: art(artist, 180, { round: true }), name: artist.name, sub: artist.genres.slice(0, 2).join(", ") || "Artist", round: true });

export const playlistCard = (list) => card({ href: to("playlist", list.id), picture: h("span", { class: "sleeve" }, h("span", { class: "sleeve-disc" }), art(list, 180)), name: list.name, sub: `${list.total} tracks` });

export function card({ href, picture, name, sub, play, round }) {
  return h("li", { class: round ? "card is-round" : "card" },
    h("div", { class: "card-picture" }, picture, play && h("button", { type: "button", class: "card-play", "aria-label": `Play ${name}`, on: { click: play } }, icon("play"))),
    h("a", { class: "card-name", href, text: name }),
    h("p", { class: "card-sub", text: sub }));
}

/** A row of cards that scrolls sideways, or a grid of them. */
export function shelf(title, cards, { href, grid = false } = {}) {
  if (cards.length === 0) return null;
  const heading = h("h2", { text: title });
  return h("section", { class: "block" }, h("div", { class: "row-head" }, heading, href && h("a", { href, text: "See all" })),
    h("ul", { class: grid ? "grid" : "shelf", role: "list" }, cards));
}

/**
 * Rows of tracks. Pressing one plays the whole list from there.
 * @param {App} app
 * @param {import("../model.js").Track[]} tracks
 * @param {{ numbered?: boolean, cover?: boolean, album?: boolean, columns?: boolean, all?: () => import("../model.js").Track[], menu?: (track: any) => any[] }} how
 */
export function trackList(app, tracks, how = {}) {
  return h("ol", { class: how.columns ? "tracks in-columns" : "tracks", role: "list" }, tracks.map((track, index) => trackRow(app, track, index, tracks, how)));
}

export function trackRow(app, track, index, tracks, { numbered = false, cover = true, album = true, all, menu } = {}) {
  const press = (event) => {
    const list = all?.() ?? tracks;
    app.playTracks(list, Math.max(0, list.indexOf(track)), event.timeStamp);
  };
  // Not for fingers: most of those that come down scroll.
  const anticipate = (event) => event.pointerType === "mouse" && event.button === 0 && app.player.anticipate(track, tracks[index + 1]);
  const more = h("button", { type: "button", class: "key row-more", "aria-label": `More for ${track.name}`, "aria-haspopup": "menu", on: { click: () => openTrackMenu(app, more, [track], menu?.(track) ?? []) } }, icon("more"));
  const row = h("li", { class: ["track", numbered ? "has-number" : "", cover ? "has-cover" : "", album ? "has-album" : ""].filter(Boolean).join(" "), data: { id: track.id } },
    numbered && h("span", { class: "track-number", "aria-hidden": "true" }, h("span", { class: "number", text: String(track.number || index + 1) }), h("span", { class: "needle" })),
    cover && h("span", { class: "track-cover", "aria-hidden": "true" }, art(artOf(track), 48), h("span", { class: "needle" })),
    h("span", { class: "two-lines" },
      h("button", { type: "button", class: "track-play line-1", "aria-label": `Play ${track.name}, ${names(track.artists)}`, text: track.name, on: { click: press, pointerdown: anticipate } }),
      h("span", { class: "line-2" }, artistLinks(track))),
    album && (track.album?.id ? h("a", { class: "track-album", href: to("album", track.album.id), text: track.album.name }) : h("span", { class: "track-album", text: track.album?.name ?? "" })),
    h("span", { class: "clock", text: clock(track.durationMs / 1000) }),
    more);
  if (app.player.track?.id === track.id) markRow(row, true);
  return row;
}

function markRow(row, on) {
  row.classList.toggle("is-current", on);
  const press = row.querySelector(".track-play");
  if (on) press.setAttribute("aria-current", "true");
  else press.removeAttribute("aria-current");
}

/** Marks the rows of the track that plays, on whatever view is open. */
export function markCurrent(id) {
  for (const row of document.querySelectorAll(".track")) markRow(row, row.dataset.id === id);
}

/** The head of an album, artist or playlist. */
export function head({ picture, kind, title, lines, actions }) {
  return h("header", { class: "head" }, picture,
    h("div", { class: "head-words" }, h("p", { class: "head-kind", text: kind }), h("h1", { class: title.length > 28 ? "is-long" : "", tabindex: "-1", text: title }), ...lines.filter(Boolean),
      h("div", { class: "actions" }, actions)));
}

export const pill = (text, name, act, more = {}) => h("button", { type: "button", class: `pill ${more.class ?? ""}`, id: more.id ?? null, on: { click: act } }, name && icon(name), h("span", { text }));

export const roundMore = (label, act) => {
  const button = h("button", { type: "button", class: "round", "aria-label": label, "aria-haspopup": "menu", on: { click: () => act(button) } }, icon("more"));
  return button;
};

export const heading = (text, ...more) => h("div", { class: "page-head" }, h("h1", { tabindex: "-1", text }), ...more);

/** Words where nothing is, with a silent groove. */
export const empty = (title, text, ...more) => h("div", { class: "empty" }, h("span", { class: "empty-disc", "aria-hidden": "true" }), h("h2", { text: title }), h("p", { text }), ...more);
