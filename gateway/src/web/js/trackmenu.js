// What can be done with a track or with many: play next, add to the queue, add to a playlist, go to its album.

import * as api from "./api.js";
import { items, playlist } from "./model.js";
import { askFor, openMenu } from "./menu.js";
import { complain, say } from "./toast.js";
import { count } from "./format.js";
import { to } from "./router.js";

/** Playlists offered at once; the rest are reached from the playlist's own page. */
const OFFERED_MAX = 50;

/**
 * @param {import("./main.js").App} app
 * @param {HTMLElement} button
 * @param {import("./model.js").Track[]} tracks
 * @param {import("./menu.js").Entry[]} [more]
 */
export function openTrackMenu(app, button, tracks, more = []) {
  const entries = [
    { label: "Play next", icon: "next", act: () => (app.queue.playNext(tracks), said(tracks, "next in the queue")) },
    { label: "Add to queue", icon: "queue", act: () => (app.queue.add(tracks), said(tracks, "at the end of the queue")) },
  ];
  if (app.features.playlists) entries.push({ label: "Add to playlist…", icon: "playlist", act: () => offerPlaylists(app, button, tracks) });
  if (tracks.length === 1) entries.push(...places(tracks[0]));
  openMenu(button, [...entries, ...more], tracks.length === 1 ? `Commands for ${tracks[0].name}` : "Commands");
}

function said(tracks, where) {
  say(tracks.length === 1 ? `${tracks[0].name}: ${where}` : `${count(tracks.length, "track")}: ${where}`);
}

function places(track) {
  const known = [];
  if (track.album?.id) known.push({ label: "Go to album", icon: "album", href: to("album", track.album.id) });
  if (track.artists[0]?.id) known.push({ label: "Go to artist", icon: "artist", href: to("artist", track.artists[0].id) });
  return known.length ? ["line", ...known] : [];
}

/** The listener's own playlists. @returns {Promise<import("./model.js").Playlist[] | null>} null where there are none to be had */
export async function ownPlaylists() {
  const page = await api.getIfThere("/v1/me/playlists?limit=50");
  return page && items(page, playlist);
}

async function offerPlaylists(app, button, tracks) {
  try {
    const lists = (await ownPlaylists()) ?? [];
    openMenu(button, [
      { label: "New playlist…", icon: "plus", act: () => createPlaylist(app, tracks) },
      ...(lists.length ? ["line"] : []),
      ...lists.slice(0, OFFERED_MAX).map((list) => ({ label: list.name, icon: "playlist", act: () => addTo(app, list, tracks) })),
    ], "Playlists");
  } catch (error) {
    complain(error);
  }
}

async function addTo(app, list, tracks) {
  try {
    await api.post(`/v1/playlists/${api.segment(list.id)}/items`, { uris: tracks.map((track) => `needledrop:track:${track.id}`) });
    said(tracks, `added to ${list.name}`);
    app.playlistsChanged();
  } catch (error) {
    complain(error);
  }
}

/** @param {import("./model.js").Track[]} tracks that go into it at once */
export async function createPlaylist(app, tracks = []) {
  const name = await askFor({ title: "New playlist", field: "Name", value: "My playlist", yes: "Create" });
  if (!name) return;
  try {
    const made = playlist(await api.post("/v1/me/playlists", { name }));
    if (tracks.length) await addTo(app, made, tracks);
    else app.playlistsChanged();
    app.go(to("playlist", made.id));
  } catch (error) {
    complain(error);
  }
}
