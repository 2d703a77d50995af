// Tells the server what was really heard: per playback, the stretches of the track that sounded.

import { isMissing, tell } from "./api.js";

/** A step of the clock longer than this is a seek, not listening. The audio element ticks four times a second. */
const STEP_MS_MAX = 1500;
/** Stretches of one play; a listener who seeks more often is heard out without the smallest ones. */
const INTERVALS_MAX = 200;
/** A stretch shorter than this is a tap passed over. */
const HEARD_MS_MIN = 250;

/** @param {import("./player.js").Player} player */
export function reportPlays(player) {
  let play = null;
  let missing = false;
  let telling = Promise.resolve();

  const flush = (ended) => {
    if (!play || missing) return;
    const intervals = play.intervals.filter(([from, to]) => to - from >= HEARD_MS_MIN);
    if (intervals.length === 0 || (play.sent === JSON.stringify(intervals) && !ended)) return;
    play.sent = JSON.stringify(intervals);
    telling = tell("POST", "/v1/plays", { playback_id: play.id, track: play.track, intervals, ended }).catch((error) => {
      missing = isMissing(error); // Otherwise the play is lost to the count, and the music goes on.
    });
  };

  const hear = (positionMs) => {
    if (!play || player.state !== "playing") return;
    const last = play.intervals.at(-1);
    const step = last ? positionMs - last[1] : Infinity;
    if (last && step >= 0 && step <= STEP_MS_MAX) last[1] = positionMs;
    else if (play.intervals.length < INTERVALS_MAX) play.intervals.push([positionMs, positionMs]);
  };

  player.addEventListener("track", () => {
    flush(false);
    play = null;
  });
  player.addEventListener("granted", (event) => {
    const id = event.detail.grant.playback_id;
    if (!id || id === play?.id) return;
    flush(false);
    play = { id, track: player.track.id, intervals: [], sent: "" };
  });
  player.addEventListener("leaving", () => {
    if (play) hear(Math.round(player.duration * 1000));
    flush(true);
    play = null;
  });
  player.addEventListener("time", (event) => hear(Math.round(event.detail.position * 1000)));
  addEventListener("pagehide", () => flush(false));
  document.addEventListener("visibilitychange", () => document.hidden && flush(false));
  return { settled: () => telling };
}
