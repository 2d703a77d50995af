// The listener's playlists, and one of them.

import * as api from "../api.js";
import { art } from "../art.js";
import { h } from "../dom.js";
import { count, length } from "../format.js";
import { askFor, openMenu } from "../menu.js";
import * as model from "../model.js";
import { complain, say } from "../toast.js";
import { createPlaylist, openTrackMenu, ownPlaylists } from "../trackmenu.js";
import { empty, head, heading, pill, playlistCard, roundMore, trackList } from "./parts.js";

/** @param {import("../main.js").App} app */
export async function playlists(app) {
  const lists = await ownPlaylists();
  const create = () => pill("New playlist", "plus", () => createPlaylist(app), { class: "quiet" });
  if (!lists) return h("div", { class: "view" }, heading("Playlists"), empty("No playlists here", "This server has no playlist service."));
  if (lists.length === 0) return h("div", { class: "view" }, heading("Playlists"), empty("Make the first one", "A playlist keeps tracks together in your order.", create()));
  return h("div", { class: "view" }, heading("Playlists", create()), h("ul", { class: "grid", role: "list" }, lists.map(playlistCard)));
}

/** @param {import("../main.js").App} app */
export async function playlist(app, { id }) {
  const path = `/v1/playlists/${api.segment(id)}`;
  const raw = await api.get(path);
  const list = model.playlist(raw);
  const tracks = [...model.entries(raw), ...(await api.following(`${path}/items`, raw.items)).flatMap((page) => model.entries({ items: page }))];
  const facts = [list.owner, count(tracks.length, "track"), tracks.length ? length(tracks.reduce((sum, t) => sum + t.durationMs, 0)) : ""].filter(Boolean).join(" · ");

  const attempt = async (act, words) => {
    try {
      await act();
      if (words) say(words);
      app.playlistsChanged();
    } catch (error) {
      complain(error);
    }
  };
  const rename = async () => {
    const name = await askFor({ title: "Rename playlist", field: "Name", value: list.name, yes: "Rename" });
    if (name) await attempt(() => api.put(path, { name }));
    if (name) app.reload();
  };
  const destroy = async () => {
    if (!(await askFor({ title: `Delete ${list.name}?`, text: "The tracks stay in the library.", yes: "Delete", danger: true }))) return;
    await attempt(() => api.remove(`${path}/followers`), "The playlist is gone.");
    app.go("#/playlists");
  };
  const takeOut = async (track) => {
    await attempt(() => api.remove(`${path}/items`, { items: [{ uri: `needledrop:track:${track.id}` }] }), `${track.name}: taken out`);
    app.reload();
  };

  return h("div", { class: "view playlist" },
    head({
      picture: h("span", { class: "sleeve is-big" }, h("span", { class: "sleeve-disc" }), art(list.images.length ? list : { ...list, images: tracks[0]?.images ?? [] }, 300, { eager: true })),
      kind: "Playlist",
      title: list.name,
      lines: [h("p", { class: "head-facts", text: facts })],
      actions: [
        tracks.length > 0 && pill("Play", "play", (event) => app.playTracks(tracks, 0, event.timeStamp), { class: "big" }),
        tracks.length > 0 && pill("Shuffle", "shuffle", (event) => app.shuffleTracks(tracks, event.timeStamp), { class: "quiet" }),
        roundMore(`More for ${list.name}`, (button) => {
          const own = [{ label: "Rename…", act: rename }, { label: "Delete…", act: destroy, danger: true }];
          if (tracks.length) openTrackMenu(app, button, tracks, ["line", ...own]);
          else openMenu(button, own);
        }),
      ],
    }),
    tracks.length
      ? h("section", { class: "block", "aria-label": "Tracks" }, trackList(app, tracks, { menu: (track) => ["line", { label: "Take out of this playlist", icon: "close", act: () => takeOut(track) }] }))
      : empty("Still empty", "Find a track, open its menu and choose “Add to playlist”."));
}
