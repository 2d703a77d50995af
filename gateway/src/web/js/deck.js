// The bar at the foot of the page: what plays, the transport, the groove to seek in, volume and quality.

import { art } from "./art.js";
import { h, setText } from "./dom.js";
import { icon } from "./icons.js";
import { clock, names, spoken } from "./format.js";
import { set, settings } from "./settings.js";
import { to } from "./router.js";
import { openTrackMenu } from "./trackmenu.js";

const QUALITIES = [["auto", "Auto"], ["96", "96"], ["160", "160"], ["320", "320"]];

const button = (id, name, label, act, more = {}) => h("button", { id, type: "button", class: `key ${more.class ?? ""}`, "aria-label": label, "aria-pressed": more.pressed ?? null, title: label, on: { click: act } }, icon(name), more.second && icon(more.second));

const range = (id, label, max, step, value) => h("input", { id, type: "range", min: "0", max: String(max), step: String(step), value: String(value), "aria-label": label });

/** @param {import("./main.js").App} app @param {HTMLElement} root */
export function deckBar(app, root) {
  const { player, queue } = app;
  const title = h("p", { class: "deck-title", id: "now-title", text: "Pick a record" });
  const by = h("p", { class: "deck-by", id: "now-artist", text: "and the needle drops" });
  const picture = h("a", { class: "deck-art", href: "#/now", "aria-label": "Show the turntable" });
  const more = button("deck-more", "more", "More for this track", () => player.track && openTrackMenu(app, more, [player.track]));
  more.setAttribute("aria-haspopup", "menu");
  const seek = range("seek", "Seek", 1, 0.1, 0);
  const volume = range("volume", "Volume", 1, 0.02, settings.volume);
  const elapsed = h("span", { class: "clock", id: "elapsed", text: "0:00" });
  const total = h("span", { class: "clock", id: "length", text: "0:00" });
  const play = button("play", "play", "Play", (e) => app.toggle(e.timeStamp), { class: "main", second: "pause" });
  const shuffle = button("shuffle", "shuffle", "Shuffle", () => queue.toggleShuffle(), { class: "mode", pressed: "false" });
  const repeat = button("repeat", "repeat", "Repeat: off", () => queue.cycleRepeat(), { class: "mode", pressed: "false" });
  const previous = button("previous", "previous", "Previous track", (e) => app.previous(e.timeStamp));
  const next = button("next", "next", "Next track", (e) => app.next(e.timeStamp));
  const mute = button("mute", "volume", "Mute", () => app.toggleMute(), { second: "muted", pressed: "false" });
  const quality = h("select", { id: "quality", "aria-label": "Quality in kbit/s" }, QUALITIES.map(([value, text]) => h("option", { value, text, selected: value === settings.quality })));
  const drop = h("a", { class: "deck-drop", href: "#/now", title: "The last needle drop" });
  app.drops.addEventListener("change", () => app.drops.last && setText(drop, `${Math.round(app.drops.last.ms)} ms`));
  const queueLink = h("a", { class: "key", href: "#/queue", "aria-label": "Queue", title: "Queue", id: "to-queue" }, icon("queue"));
  const nowLink = h("a", { class: "key", href: "#/now", "aria-label": "Turntable", title: "Turntable", id: "to-now" }, icon("turntable"));

  root.append(
    h("div", { class: "deck-now" }, picture, h("div", { class: "deck-text" }, title, by), more),
    h("div", { class: "deck-transport" },
      h("div", { class: "keys" }, shuffle, previous, play, next, repeat),
      h("div", { class: "groove" }, elapsed, seek, total)),
    h("div", { class: "deck-side" }, drop, h("label", { class: "quality" }, quality), nowLink, queueLink, h("div", { class: "volume" }, mute, volume)));

  let dragging = false;
  const paint = (position, duration) => {
    const length = duration || 1;
    setText(elapsed, clock(position));
    setText(total, clock(duration));
    seek.style.setProperty("--played", `${Math.min(100, (position / length) * 100)}%`);
    seek.style.setProperty("--ready", `${Math.min(100, (player.ready / length) * 100)}%`);
    root.style.setProperty("--played", `${Math.min(100, (position / length) * 100)}%`);
    seek.setAttribute("aria-valuetext", `${spoken(position)} of ${spoken(duration)}`);
  };
  seek.addEventListener("input", () => {
    dragging = true;
    paint(Number(seek.value), Number(seek.max));
  });
  seek.addEventListener("change", () => {
    dragging = false;
    player.seek(Number(seek.value));
  });
  player.addEventListener("time", ({ detail: { position, duration } }) => {
    if (dragging) return;
    if (Number(seek.max) !== duration && duration > 0) seek.max = String(duration);
    seek.value = String(position);
    paint(position, duration);
  });

  player.addEventListener("track", ({ detail: { track } }) => {
    setText(title, track?.name ?? "Pick a record");
    by.replaceChildren(...(track ? artistLinks(track) : ["and the needle drops"]));
    picture.replaceChildren(...(track ? [art(artOf(track), 64, { eager: true })] : []));
    document.title = track ? `${track.name} · ${names(track.artists)}` : "needledrop";
    if (track) seek.max = String(track.durationMs / 1000 || 1);
    seek.value = "0";
    paint(0, (track?.durationMs ?? 0) / 1000);
    ends();
  });
  player.addEventListener("state", ({ detail: { state } }) => {
    const playing = state === "playing" || state === "waiting";
    play.setAttribute("aria-label", playing ? "Pause" : "Play");
    play.title = playing ? "Pause" : "Play";
  });

  const ends = () => {
    const idle = !player.track;
    root.classList.toggle("is-empty", idle);
    seek.disabled = more.disabled = previous.disabled = idle;
    play.disabled = idle && queue.items.length === 0;
    next.disabled = !queue.hasNext;
    shuffle.setAttribute("aria-pressed", String(queue.shuffled));
    repeat.setAttribute("aria-pressed", String(queue.repeat !== "off"));
    repeat.setAttribute("aria-label", { off: "Repeat: off", all: "Repeat: all", one: "Repeat: this track" }[queue.repeat]);
    repeat.title = repeat.getAttribute("aria-label");
    repeat.dataset.mode = queue.repeat;
  };
  queue.addEventListener("change", ends);

  volume.addEventListener("input", () => {
    set("muted", false);
    set("volume", Number(volume.value));
  });
  quality.addEventListener("change", () => set("quality", quality.value));
  const showSettings = () => {
    volume.value = String(settings.volume);
    volume.style.setProperty("--played", `${settings.muted ? 0 : settings.volume * 100}%`);
    volume.style.setProperty("--ready", "0%");
    mute.setAttribute("aria-pressed", String(settings.muted));
    quality.value = settings.quality;
  };
  app.onSettings(showSettings);
  showSettings();
  ends();
}

/** The album has the picture, and the album's id gives the placeholder, so that one record looks the same everywhere. */
export const artOf = (track) => ({ id: track.album?.id || track.id, name: track.album?.name || track.name, images: track.images });

/** Artists as links where they have a page of their own. @param {{ artists: { id: string, name: string }[] }} thing */
export function artistLinks(thing) {
  return thing.artists.flatMap((artist, i) => [i ? ", " : "", artist.id ? h("a", { href: to("artist", artist.id), text: artist.name }) : artist.name]).filter(Boolean);
}
