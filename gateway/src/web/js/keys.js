// The keyboard, and the keys on headphones and lock screens (Media Session).

import { $ } from "./dom.js";
import { names } from "./format.js";

const SEEK_S = 5;
const VOLUME_STEP = 0.06;

/** What the keys do, as the settings view lists it. */
export const KEYS = [
  ["Space", "Play or pause"],
  ["← →", "Back or forward 5 seconds"],
  ["↑ ↓", "Louder or quieter"],
  ["n / p", "Next or previous track"],
  ["/", "Search"],
  ["s", "Shuffle"],
  ["r", "Repeat"],
  ["m", "Mute"],
  ["q", "Queue"],
];

/** @param {import("./main.js").App} app */
export function wireKeys(app) {
  const { player, queue } = app;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.closest("[role=menu], dialog")) return;
    const typing = target.closest("input:not([type=range]), select, textarea");
    const sliding = target.closest("input[type=range]");
    const pressing = target.closest("button, a, summary");
    if (typing) return;
    const acts = {
      " ": () => !pressing && app.toggle(event.timeStamp),
      ArrowLeft: () => !sliding && player.seek(player.position - SEEK_S),
      ArrowRight: () => !sliding && player.seek(player.position + SEEK_S),
      ArrowUp: () => !sliding && !pressing && player.track && app.nudgeVolume(VOLUME_STEP),
      ArrowDown: () => !sliding && !pressing && player.track && app.nudgeVolume(-VOLUME_STEP),
      n: () => app.next(event.timeStamp),
      p: () => app.previous(event.timeStamp),
      s: () => queue.toggleShuffle(),
      r: () => queue.cycleRepeat(),
      m: () => app.toggleMute(),
      q: () => app.go("#/queue"),
      Escape: () => document.documentElement.dataset.route === "now" && app.leaveNow(),
      "/": () => $("search").focus(),
    };
    const act = acts[event.key];
    if (!act || act() === false || act === null) return;
    if (event.key.startsWith("Arrow") && (!player.track || ((event.key === "ArrowUp" || event.key === "ArrowDown") && pressing))) return;
    event.preventDefault();
  });
}

/** @param {import("./main.js").App} app */
export function wireMediaKeys(app) {
  if (!("mediaSession" in navigator)) return;
  const session = navigator.mediaSession;
  const { player } = app;
  const acts = {
    play: () => player.state === "paused" && app.toggle(performance.now()),
    pause: () => player.pause(),
    stop: () => player.pause(),
    previoustrack: () => app.previous(performance.now()),
    nexttrack: () => app.next(performance.now()),
    seekbackward: (d) => player.seek(player.position - (d.seekOffset ?? 10)),
    seekforward: (d) => player.seek(player.position + (d.seekOffset ?? 10)),
    seekto: (d) => player.seek(d.seekTime),
  };
  for (const [name, act] of Object.entries(acts)) {
    try {
      session.setActionHandler(name, act);
    } catch {
      // This browser does not know this key.
    }
  }
  player.addEventListener("track", (event) => {
    const track = event.detail.track;
    session.metadata = track && new MediaMetadata({ title: track.name, artist: names(track.artists), album: track.album?.name ?? "", artwork: artwork(track) });
  });
  player.addEventListener("state", () => {
    session.playbackState = { idle: "none", paused: "paused" }[player.state] ?? "playing";
  });
  player.addEventListener("time", ({ detail: { position, duration } }) => {
    if (!(duration > 0) || position > duration) return;
    session.setPositionState?.({ duration, position: Math.max(0, position), playbackRate: 1 });
  });
}

const artwork = (track) => track.images.map((image) => ({ src: image.url, sizes: `${image.width}x${image.width}`, type: "image/jpeg" }));
