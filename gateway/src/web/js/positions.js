// Tells the server how far an episode was heard, so that it goes on there the next time, on whatever device.

import { segment, tell } from "./api.js";

/** A position is told at most this often while the sound goes on. */
const TELL_MS_MIN = 15_000;
/** So close to the beginning nothing was heard; so close to the end everything was. */
const EDGE_MS = 10_000;

/** @param {import("./player.js").Player} player */
export function reportPositions(player) {
  /** @type {import("./model.js").Track | null} */
  let track = null;
  let positionMs = 0;
  let told = -1;
  let toldAt = 0;

  const say = (played) => {
    if (!track || (positionMs === told && !played)) return;
    told = positionMs;
    toldAt = performance.now();
    const resumeMs = played || positionMs < EDGE_MS ? 0 : positionMs;
    Object.assign(track.episode, { resumeMs, played });
    // If it does not arrive, the next one will.
    tell("PUT", `/v1/episodes/${segment(track.id)}/resume-point`, { resume_position_ms: resumeMs, fully_played: played }).catch(() => {});
  };

  player.addEventListener("track", (event) => {
    say(false);
    const next = event.detail.track;
    track = next?.episode ? next : null;
    positionMs = track?.episode.resumeMs ?? 0;
    told = positionMs;
  });
  player.addEventListener("time", ({ detail: { position, duration } }) => {
    // Before the sound is there an element stands at its beginning, whatever was heard before.
    if (!track || player.state !== "playing") return;
    positionMs = Math.round(position * 1000);
    const left = duration * 1000 - positionMs;
    if (left > EDGE_MS && performance.now() - toldAt > TELL_MS_MIN) say(false);
  });
  player.addEventListener("state", (event) => event.detail.state === "paused" && say(false));
  player.addEventListener("leaving", ({ detail }) => {
    say(detail.ended);
    track = null;
  });
  addEventListener("pagehide", () => say(false));
  document.addEventListener("visibilitychange", () => document.hidden && say(false));
}
