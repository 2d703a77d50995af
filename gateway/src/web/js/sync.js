// Keeps the queue: in this browser at once, and on the server now and then, so that another device can go on.

import { ask, getIfThere, isMissing, segment, tell } from "./api.js";
import { episode as readEpisode, track as readTrack } from "./model.js";

const KEY = "needledrop.queue";
/** The server hears of the queue at most this often, except when the listener pauses or leaves. */
const PUT_MS_MIN = 10_000;
/** A long queue takes a few milliseconds to write down: not while the needle drops. */
const KEEP_MS = 400;
/** Tracks of a queue from elsewhere that are looked up one by one, a few at a time. */
const LOOKED_UP_MAX = 60;
const LOOKUPS_AT_ONCE = 6;

/**
 * @param {import("./player.js").Player} player
 * @param {import("./queue.js").Queue} queue
 */
export function keepQueue(player, queue) {
  let changed = 0;
  let sentAt = -Infinity;
  let timer = 0;
  let keeping = 0;
  let missing = false;
  let quiet = true; // Until `restore` is done: what is put back is not a change.

  const state = () => ({ items: queue.items.map((item) => item.track.id), index: Math.max(0, queue.index), position_ms: Math.round(player.position * 1000), changed });

  const keep = () => {
    const kept = { ...state(), shuffled: queue.shuffled, repeat: queue.repeat, tracks: queue.items.map((item) => item.track) };
    try {
      localStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
      // Storage is full or forbidden: the server still has the ids.
    }
  };

  const send = () => {
    clearTimeout(timer);
    timer = 0;
    if (missing || queue.items.length === 0) return;
    sentAt = performance.now();
    tell("PUT", "/v1/me/queue", state()).catch((error) => {
      missing = isMissing(error); // Otherwise the next change tries again.
    });
  };

  const sendSoon = () => {
    if (timer) return;
    timer = setTimeout(send, Math.max(1000, PUT_MS_MIN - (performance.now() - sentAt)));
  };

  const note = () => {
    changed = Date.now();
    clearTimeout(keeping);
    keeping = setTimeout(keep, KEEP_MS);
    sendSoon();
  };
  queue.addEventListener("change", () => !quiet && note());
  player.addEventListener("state", (event) => {
    if (quiet || event.detail.state !== "paused") return;
    changed = Date.now();
    keep();
    send();
  });
  const leave = () => {
    if (quiet || player.state !== "playing") return;
    changed = Date.now();
    keep();
    send();
  };
  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", () => document.hidden && leave());

  return {
    /** Puts back what was left, here or on another device, whichever is newer. */
    async restore() {
      const here = readHere();
      const there = await getIfThere("/v1/me/queue", { fresh: true }).catch(() => null);
      const newer = there?.items?.length && Number(there.changed) > (here?.changed ?? 0) ? there : here;
      if (newer && queue.items.length === 0) {
        const tracks = await tracksOf(newer, here);
        const current = tracks.findIndex((track) => track.id === newer.items[newer.index]);
        if (tracks.length && queue.items.length === 0) {
          queue.repeat = here?.repeat ?? "off";
          queue.set(tracks, Math.max(0, current), { shuffled: false });
          player.cue(queue.track, (Number(newer.position_ms) || 0) / 1000);
        }
      }
      quiet = false;
      if (player.state === "playing" || player.state === "waiting") note(); // The listener was faster.
    },
  };
}

function readHere() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "null");
    return Array.isArray(kept?.items) && Array.isArray(kept.tracks) ? kept : null;
  } catch {
    return null; // No storage, or not ours.
  }
}

/** The tracks behind the ids: those kept here, the others asked for. */
async function tracksOf(state, here) {
  const known = new Map((here?.tracks ?? []).map((track) => [track.id, track]));
  const ids = state.items.filter((id) => typeof id === "string");
  const unknown = [...new Set(ids)].filter((id) => !known.has(id)).slice(0, LOOKED_UP_MAX);
  for (let i = 0; i < unknown.length; i += LOOKUPS_AT_ONCE) {
    const found = await Promise.all(unknown.slice(i, i + LOOKUPS_AT_ONCE).map(lookUp));
    found.filter(Boolean).forEach((one) => known.set(one.id, one));
  }
  return ids.flatMap((id) => known.get(id) ?? []);
}

/** A track, else an episode: an id does not say which. */
const lookUp = (id) =>
  ask(`/v1/tracks/${segment(id)}`).then(readTrack)
    .catch(() => ask(`/v1/episodes/${segment(id)}`).then((raw) => readEpisode(raw)))
    .catch(() => null);

/** The queue belongs to whoever was signed in. */
export function forgetQueue() {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // Nothing was kept.
  }
}
