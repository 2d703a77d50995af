// The player of `needledrop up`: lists tracks, asks for signed URLs, plays them, and says how long a tap took to sound.
//
// It knows the public API and the audio element, nothing of keys or edges. Text from outside only ever becomes
// textContent, and pictures only ever come from this origin.
// In order: elements, words, the API, the decks that play, prefetch, renewal, the controls, the start.

const $ = (id) => document.getElementById(id);
const bar = $("bar");
const seek = $("seek");
const volume = $("volume");
const quality = $("quality");

/** Seconds before a URL expires at which a fresh one is fetched instead of used. */
const EXPIRY_MARGIN_S = 15;
/** Seconds before the end at which the other deck starts to load the next track. */
const STANDBY_S = 12;
/** Fresh URLs asked for one track before its error is shown: a refusal that stays is no expiry. */
const RENEWALS_MAX = 3;
/** The whole page plays at about this loudness; louder tracks are turned down, none is turned up. */
const TARGET_LUFS = -16;

const state = {
  tracks: [],
  /** Index into `tracks`, or -1. */
  current: -1,
  /** What the API granted for the current track. */
  grant: null,
  /** Grant for the track after it, fetched ahead: { id, wish, grant }. */
  ahead: null,
  /** When the listener tapped, in performance.now() time; null once the sound is there. */
  tapped: null,
  renewals: 0,
  /** Counts plays, so that late answers to an earlier tap are dropped. */
  turn: 0,
  dragging: false,
};

let deck = $("deck-a");
let standby = $("deck-b");

// --- words ----------------------------------------------------------------------------------------------------

function clock(seconds) {
  if (!Number.isFinite(seconds)) return "0:00";
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function spoken(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)} minutes ${whole % 60} seconds`;
}

function say(text) {
  $("notice").textContent = text;
}

const artists = (track) => (track.artists ?? []).map((a) => a.name).join(", ");

/** The picture's address if it is one of ours, else null. */
function artOf(track) {
  if (!track.art) return null;
  const url = new URL(track.art, location.href);
  return url.origin === location.origin && url.pathname.startsWith("/art/") ? url.href : null;
}

// --- the API --------------------------------------------------------------------------------------------------

/** A failure in words that the page can show; `status` is 0 where there was no answer at all. */
class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** Reads problem+json (RFC 9457) into a sentence. */
async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const words = [problem.title, problem.detail].filter((w) => typeof w === "string" && w).join(": ");
  return new Refused(response.status, words || `The server answered ${response.status}.`);
}

async function ask(path) {
  const response = await fetch(path, { headers: { Accept: "application/json" } }).catch(() => {
    throw new Refused(0, "The server cannot be reached. Is needledrop still running?");
  });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/**
 * AAC where the browser surely plays it, else Ogg Vorbis. An M4A has its index in front, so a seek is one request;
 * in Ogg, browsers search for the second with a dozen.
 */
const CODEC = (() => {
  const rank = (type) => ["", "maybe", "probably"].indexOf(deck.canPlayType(type));
  return rank('audio/mp4; codecs="mp4a.40.2"') >= rank('audio/ogg; codecs="vorbis"') ? "m4a" : "ogg";
})();

/** The bitrate wished for: the listener's choice, or what the network seems to carry. */
function wishedKbps() {
  if (quality.value !== "auto") return Number(quality.value);
  const network = navigator.connection;
  if (network?.saveData) return 96;
  if (!network?.downlink) return 160;
  return network.downlink >= 4 ? 320 : network.downlink >= 1 ? 160 : 96;
}

function requestGrant(index) {
  const query = new URLSearchParams({ kbps: String(wishedKbps()), codec: CODEC });
  const after = state.tracks[index + 1];
  if (after) query.set("next", after.id);
  return ask(`/v1/tracks/${encodeURIComponent(state.tracks[index].id)}/stream?${query}`);
}

const now = () => Date.now() / 1000;
const fresh = (grant) => !grant.expires_at || grant.expires_at - EXPIRY_MARGIN_S > now();
const wish = () => `${wishedKbps()}.${CODEC}`;

/** The grant for a track: the one fetched ahead if it still fits, else a new one. */
async function grantFor(index) {
  const ahead = state.ahead;
  const fits = ahead && ahead.id === state.tracks[index].id && ahead.wish === wish() && fresh(ahead.grant);
  return fits ? ahead.grant : requestGrant(index);
}

// --- playing --------------------------------------------------------------------------------------------------

/** Puts the needle on track `index`; `tapped` is the moment of the tap, from the event itself. */
async function play(index, tapped) {
  if (index < 0 || index >= state.tracks.length) return;
  const turn = ++state.turn;
  state.current = index;
  state.tapped = tapped;
  state.renewals = 0;
  say("");
  show(index);
  bar.dataset.state = "waiting";
  // The standby deck may have the beginning of this very track already.
  const ready = state.ahead?.deck && state.ahead.id === state.tracks[index].id && state.ahead.wish === wish() && fresh(state.ahead.grant);
  deck.pause();
  if (ready) {
    [deck, standby] = [standby, deck];
    release(standby);
    state.grant = state.ahead.grant;
    describe(state.grant);
    setVolume();
    return start(turn);
  }
  release(standby);
  try {
    const grant = await grantFor(index);
    if (turn !== state.turn) return;
    state.grant = grant;
    describe(grant);
    setVolume();
    deck.src = grant.urls[0];
    await start(turn);
  } catch (error) {
    if (turn === state.turn) stopWith(error);
  }
}

async function start(turn) {
  state.ahead = null;
  try {
    await deck.play();
  } catch (error) {
    // AbortError: another tap came first. Errors of the network or the file arrive as an `error` event.
    if (turn !== state.turn || error.name === "AbortError" || error.name === "NotSupportedError") return;
    stopWith(error.name === "NotAllowedError" ? new Error("The browser wants a click before it plays sound.") : error);
  }
}

function release(audio) {
  audio.pause();
  audio.removeAttribute("src");
  audio.load();
}

function stopWith(error) {
  state.tapped = null;
  bar.dataset.state = "paused";
  label();
  say(error.message);
}

/** Goes on at the same second with a new URL: after expiry, or in another quality. */
async function renew() {
  const index = state.current;
  if (index < 0) return;
  const turn = ++state.turn;
  const at = deck.currentTime;
  const wasPlaying = bar.dataset.state !== "paused";
  try {
    const grant = await requestGrant(index);
    if (turn !== state.turn) return;
    state.grant = grant;
    describe(grant);
    deck.src = grant.urls[0];
    deck.currentTime = at;
    if (wasPlaying) await start(turn);
  } catch (error) {
    if (turn === state.turn) stopWith(error);
  }
}

/** The element does not say why it failed: ask the URL for one byte and read the answer. */
async function failed() {
  const grant = state.grant;
  if (!grant || !deck.error) return;
  const turn = state.turn;
  const answer = await fetch(grant.urls[0], { headers: { Range: "bytes=0-0" }, cache: "no-store" }).catch(() => null);
  if (turn !== state.turn) return;
  if ((answer?.status === 403 || !fresh(grant)) && state.renewals < RENEWALS_MAX) {
    state.renewals += 1;
    return renew();
  }
  if (!answer) return stopWith(new Error("The edge cannot be reached. Is needledrop still running?"));
  if (!answer.ok) return stopWith(await refusal(answer));
  if (state.renewals < RENEWALS_MAX) {
    state.renewals += 1; // The connection broke in the middle, and the edge is back.
    return renew();
  }
  stopWith(new Error("This track could not be played."));
}

function sounding() {
  bar.dataset.state = "playing";
  label();
  say("");
  if (state.tapped === null) return;
  const drop = Math.max(0, Math.round(performance.now() - state.tapped));
  state.tapped = null;
  $("needle-drop").textContent = String(drop);
  $("drop-about").textContent = "from tap to sound";
  sayWhereFrom(state.grant.urls[0]);
  prefetch(state.turn);
}

/** Adds what the edge said about the audio's first bytes, once the browser has written it down. */
function sayWhereFrom(url) {
  const turn = state.turn;
  const found = () => performance.getEntriesByName(new URL(url, location.href).href).find((e) => e.serverTiming?.length);
  const tell = () => {
    const entry = found();
    if (!entry || turn !== state.turn) return Boolean(entry);
    const words = entry.serverTiming.map((t) => [t.name, t.description, t.duration ? `${t.duration.toFixed(1)} ms` : ""].filter(Boolean).join(" "));
    $("drop-about").textContent = `from tap to sound · ${words.join(", ")}`;
    return true;
  };
  if (tell() || !window.PerformanceObserver) return;
  const observer = new PerformanceObserver(() => (tell() || turn !== state.turn) && observer.disconnect());
  observer.observe({ type: "resource" });
}

// --- prefetch -------------------------------------------------------------------------------------------------

/** Gets the right to the next track and its head, so that the edge, and the browser, have it before it is due. */
async function prefetch(turn) {
  const index = state.current + 1;
  if (index >= state.tracks.length) return;
  try {
    const grant = await requestGrant(index);
    if (turn !== state.turn) return;
    state.ahead = { id: state.tracks[index].id, wish: wish(), grant, deck: false };
    const head = grant.rendition?.head_bytes;
    if (!head) return;
    const answer = await fetch(grant.urls[0], { headers: { Range: `bytes=0-${head - 1}`, Priority: "u=7, i" }, priority: "low" });
    await answer.arrayBuffer();
  } catch {
    // A prefetch that fails costs nothing: the track is asked for again when its turn comes.
  }
}

/** Close to the end, the other deck takes the next track up. */
function standBy() {
  const left = deck.duration - deck.currentTime;
  if (!state.ahead || state.ahead.deck || !(left < STANDBY_S) || !fresh(state.ahead.grant)) return;
  state.ahead.deck = true;
  standby.src = state.ahead.grant.urls[0];
}

// --- what is shown ----------------------------------------------------------------------------------------------

/** The cover, or the first letter of the title where there is none. */
function cover(track) {
  const art = artOf(track);
  const picture = document.createElement(art ? "img" : "span");
  picture.className = "art";
  if (!art) {
    picture.textContent = [...(track.name ?? "")][0] ?? "";
    picture.setAttribute("aria-hidden", "true");
    return picture;
  }
  picture.alt = "";
  picture.loading = "lazy";
  picture.width = 56;
  picture.height = 56;
  picture.src = art;
  return picture;
}

function row(track, index) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "track";
  button.dataset.id = track.id;
  const number = document.createElement("span");
  number.className = "number";
  number.textContent = String(index + 1);
  number.setAttribute("aria-hidden", "true");
  const picture = cover(track);
  const names = document.createElement("span");
  names.className = "names";
  const title = document.createElement("span");
  title.className = "title";
  title.textContent = track.name;
  const artist = document.createElement("span");
  artist.className = "artist";
  artist.textContent = [artists(track), track.album?.name].filter(Boolean).join(" · ");
  names.append(title, artist);
  const time = document.createElement("span");
  time.className = "time";
  time.textContent = clock(track.duration_ms / 1000);
  button.append(number, picture, names, time);
  button.addEventListener("click", (event) => play(state.tracks.indexOf(track), event.timeStamp));
  item.append(button);
  return item;
}

/** Marks the row that plays. */
function mark(id) {
  for (const button of document.querySelectorAll(".track")) {
    if (button.dataset.id === id) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

function show(index) {
  const track = state.tracks[index];
  mark(track.id);
  $("now-title").textContent = track.name;
  $("now-artist").textContent = artists(track);
  const art = artOf(track);
  $("now-art").hidden = !art;
  if (art) $("now-art").src = art;
  document.title = `${track.name} · needledrop`;
  seek.disabled = false;
  $("play").disabled = false;
  $("previous").disabled = false;
  $("next").disabled = index + 1 >= state.tracks.length;
  seek.max = String(track.duration_ms / 1000);
  $("length").textContent = clock(track.duration_ms / 1000);
  showTime(0);
  if (!("mediaSession" in navigator)) return;
  const artwork = art ? [{ src: art, sizes: "300x300", type: "image/jpeg" }] : [];
  navigator.mediaSession.metadata = new MediaMetadata({ title: track.name, artist: artists(track), album: track.album?.name ?? "", artwork });
}

function describe(grant) {
  const { codec, kbps } = grant.rendition ?? {};
  $("rendition").textContent = kbps ? `${codec} ${kbps} kbit/s` : "";
  $("rendition").title = grant.reason ?? "";
}

function label() {
  $("play").setAttribute("aria-label", bar.dataset.state === "paused" ? "Play" : "Pause");
  if ("mediaSession" in navigator) navigator.mediaSession.playbackState = bar.dataset.state === "paused" ? "paused" : "playing";
}

function showTime(seconds) {
  const length = Number(seek.max) || 1;
  $("elapsed").textContent = clock(seconds);
  if (!state.dragging) seek.value = String(seconds);
  seek.setAttribute("aria-valuetext", spoken(seconds));
  seek.style.setProperty("--played", `${Math.min(100, (seconds / length) * 100)}%`);
  const ranges = deck.buffered;
  let ready = seconds;
  for (let i = 0; i < ranges.length; i += 1) {
    if (ranges.start(i) <= seconds + 0.5 && ranges.end(i) > ready) ready = ranges.end(i);
  }
  seek.style.setProperty("--ready", `${Math.min(100, (ready / length) * 100)}%`);
}

// --- controls ---------------------------------------------------------------------------------------------------

function toggle(tapped) {
  if (state.current < 0) return play(0, tapped);
  if (deck.paused || deck.error) {
    if (deck.error || !fresh(state.grant)) {
      bar.dataset.state = "waiting";
      return renew();
    }
    return deck.play().catch(() => {});
  }
  deck.pause();
}

function seekTo(seconds) {
  if (state.current < 0) return;
  const target = Math.min(Math.max(0, seconds), Math.max(0, Number(seek.max) - 0.2));
  deck.currentTime = target;
  showTime(target);
}

function previous(tapped) {
  if (deck.currentTime > 3 || state.current <= 0) return seekTo(0);
  play(state.current - 1, tapped);
}

function setVolume() {
  const loudness = state.tracks[state.current]?.loudness_lufs;
  const gain = Number.isFinite(loudness) ? Math.min(1, 10 ** ((TARGET_LUFS - loudness) / 20)) : 1;
  // Squared, because ears hear ratios: half the slider is about half as loud.
  deck.volume = Number(volume.value) ** 2 * gain;
  volume.style.setProperty("--played", `${Number(volume.value) * 100}%`);
  volume.style.setProperty("--ready", `${Number(volume.value) * 100}%`);
}

/** Wires one deck; events of the deck that is not playing are of no interest. */
function wire(audio) {
  const on = (name, act) => audio.addEventListener(name, () => audio === deck && act());
  on("playing", sounding);
  on("waiting", () => (bar.dataset.state = "waiting"));
  on("pause", () => {
    if (deck.ended || deck.error) return;
    bar.dataset.state = "paused";
    label();
  });
  on("error", failed);
  on("timeupdate", () => {
    if (!state.dragging) showTime(deck.currentTime);
    standBy();
  });
  on("progress", () => !state.dragging && showTime(deck.currentTime));
  on("durationchange", () => {
    if (!Number.isFinite(deck.duration)) return;
    seek.max = String(deck.duration);
    $("length").textContent = clock(deck.duration);
  });
  on("ended", () => {
    if (state.current + 1 < state.tracks.length) return play(state.current + 1, performance.now());
    bar.dataset.state = "paused";
    label();
  });
}

function wireControls() {
  [deck, standby].forEach(wire);
  $("play").addEventListener("click", (event) => toggle(event.timeStamp));
  $("previous").addEventListener("click", (event) => previous(event.timeStamp));
  $("next").addEventListener("click", (event) => play(state.current + 1, event.timeStamp));
  seek.addEventListener("input", () => {
    state.dragging = true;
    $("elapsed").textContent = clock(Number(seek.value));
    seek.style.setProperty("--played", `${(Number(seek.value) / (Number(seek.max) || 1)) * 100}%`);
  });
  seek.addEventListener("change", () => {
    state.dragging = false;
    seekTo(Number(seek.value));
  });
  volume.addEventListener("input", setVolume);
  quality.addEventListener("change", () => {
    state.ahead = null;
    release(standby);
    if (state.current >= 0) renew();
  });
  document.addEventListener("keydown", keys);
  mediaKeys();
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target;
  const typing = target.closest("select, input");
  const pressing = target.closest("button");
  const acts = {
    " ": () => !typing && !pressing && toggle(event.timeStamp),
    ArrowLeft: () => !typing && seekTo(deck.currentTime - 5),
    ArrowRight: () => !typing && seekTo(deck.currentTime + 5),
    ArrowUp: () => !typing && !pressing && state.current >= 0 && nudge(0.06),
    ArrowDown: () => !typing && !pressing && state.current >= 0 && nudge(-0.06),
    n: () => !typing && play(state.current + 1, event.timeStamp),
    p: () => !typing && previous(event.timeStamp),
  };
  const act = acts[event.key];
  if (!act || act() === false) return;
  event.preventDefault();
}

function nudge(by) {
  volume.value = String(Math.min(1, Math.max(0, Number(volume.value) + by)));
  setVolume();
}

/** Keys on headphones, lock screens and keyboards. */
function mediaKeys() {
  if (!("mediaSession" in navigator)) return;
  const acts = {
    play: () => toggle(performance.now()),
    pause: () => deck.pause(),
    previoustrack: () => previous(performance.now()),
    nexttrack: () => play(state.current + 1, performance.now()),
    seekbackward: (d) => seekTo(deck.currentTime - (d.seekOffset ?? 10)),
    seekforward: (d) => seekTo(deck.currentTime + (d.seekOffset ?? 10)),
    seekto: (d) => seekTo(d.seekTime),
  };
  for (const [name, act] of Object.entries(acts)) {
    try {
      navigator.mediaSession.setActionHandler(name, act);
    } catch {
      // This browser does not know this key.
    }
  }
}

// --- start ------------------------------------------------------------------------------------------------------

/** How often the list is asked for while tracks are still being made, and after a failure. */
const LOOK_AGAIN_MS = 2000;

/** Shows the list; new tracks may come before the one that plays, so that one is found again by its id. */
function list(items) {
  const playing = state.tracks[state.current]?.id;
  const known = state.tracks.map((t) => t.id).join();
  if (items.map((t) => t.id).join() === known) return;
  state.tracks = items;
  const focused = document.activeElement?.dataset?.id;
  const rows = items.map(row);
  $("tracks").replaceChildren(...rows);
  $("play").disabled = false;
  if (playing === undefined) return;
  state.current = items.findIndex((t) => t.id === playing);
  mark(playing);
  $("next").disabled = state.current + 1 >= items.length;
  rows[items.findIndex((t) => t.id === focused)]?.firstChild.focus();
}

async function load() {
  try {
    const { items, ingesting } = await ask("/v1/tracks");
    list(items);
    if (ingesting) setTimeout(load, LOOK_AGAIN_MS);
    if (items.length > 0) return state.current < 0 && say("");
    say(ingesting ? "The first tracks are being made. They appear here as soon as they can be played." : "No music here yet. Add some: needledrop ingest FOLDER");
    if (!ingesting) setTimeout(load, LOOK_AGAIN_MS);
  } catch (error) {
    say(error.message);
    setTimeout(load, LOOK_AGAIN_MS);
  }
}

bar.dataset.state = "paused";
wireControls();
setVolume();
load();
