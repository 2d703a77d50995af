// The audio engine: two decks, one of which plays while the other takes up the next track.
//
// It knows grants and audio elements, nothing of queues or the page. It asks `upcoming()` what follows, and says by
// events what happens: state, track, time, sounding, advanced, ended, refused, needle, prefetched.

import { refusal } from "./api.js";
import { fetchHead, fresh, requestGrant, wish } from "./stream.js";
import { settings } from "./settings.js";

/** Seconds before the end at which the other deck starts to load the next track. */
const STANDBY_S = 12;
/** Seconds before the end at which a timer is set that starts the other deck on the spot. */
const HANDOVER_S = 1.5;
/** A deck takes a moment from `play()` to sound. Guess of the first handover, and most that is ever allowed for. */
const LEAD_MS = 35;
const LEAD_MS_MAX = 60;
/** Fresh URLs asked for one track before its error is shown: a refusal that stays is no expiry. */
const RENEWALS_MAX = 3;
/** A press that has not become a play by then was none. */
const GUESS_MS = 5000;
/** Everything plays at about this loudness; louder tracks are turned down, none is turned up. */
const TARGET_LUFS = -16;

/** @typedef {import("./model.js").Track} Track */
/** @typedef {import("./stream.js").Grant} Grant */

export class Player extends EventTarget {
  /** "idle" | "waiting" | "playing" | "paused" */
  state = "idle";
  /** @type {Track | null} */
  track = null;
  /** @type {Grant | null} */
  grant = null;

  /** @type {{ track: Track, wish: string, grant: Grant, loaded: boolean } | null} what was prepared for the next track */
  #ahead = null;
  #deck;
  #standby;
  #upcoming;
  /** When the listener tapped, in performance.now() time; null once the sound is there. */
  #tapped = null;
  /** What the current start has taken so far. */
  #steps = null;
  /** What a finger is on: { what, asked }. */
  #guess = null;
  /** Counts plays, so that late answers to an earlier tap are dropped. */
  #turn = 0;
  #renewals = 0;
  #handover = 0;
  /** Turn, track and wish of the prefetch under way. */
  #preparing = "";
  #leadMs = LEAD_MS;
  /** Where a track without a grant starts, in seconds. */
  #cued = 0;

  /**
   * @param {[HTMLAudioElement, HTMLAudioElement]} decks
   * @param {() => Track | null} upcoming
   */
  constructor(decks, upcoming) {
    super();
    [this.#deck, this.#standby] = decks;
    this.#upcoming = upcoming;
    decks.forEach((deck) => this.#wire(deck));
  }

  get position() {
    return this.grant ? this.#deck.currentTime : this.#cued;
  }

  get duration() {
    return Number.isFinite(this.#deck.duration) ? this.#deck.duration : (this.track?.durationMs ?? 0) / 1000;
  }

  /** How far the sound is already here, in seconds. */
  get ready() {
    const { buffered, currentTime } = this.#deck;
    let ready = currentTime;
    for (let i = 0; i < buffered.length; i += 1) {
      if (buffered.start(i) <= currentTime + 0.5 && buffered.end(i) > ready) ready = buffered.end(i);
    }
    return ready;
  }

  /** Puts the needle on a track. `tapped` is the moment of the tap, from the event itself. */
  async play(track, { tapped = performance.now(), at = (track.episode?.resumeMs ?? 0) / 1000 } = {}) {
    const ahead = this.#ahead;
    const fits = ahead && ahead.track.id === track.id && ahead.wish === wish() && fresh(ahead.grant) && at === 0;
    this.#ahead = null;
    this.#tapped = tapped;
    this.#steps = { asked: performance.now(), granted: 0, prepared: "nothing" };
    // The question leaves first; the page is drawn while the answer is under way.
    const guess = this.#guess?.what === `${track.id} ${wish()}` ? this.#guess.asked : null;
    this.#guess = null;
    const asked = fits ? Promise.resolve(ahead.grant) : (guess ?? requestGrant(track, this.#upcoming()));
    asked.catch(() => {}); // It is heard below, unless another tap comes first.
    const turn = this.#begin(track);
    this.#set("waiting");
    this.grant = null;
    this.#cued = at;
    this.#deck.pause();
    if (fits && ahead.loaded) {
      this.#swap();
      this.#steps.prepared = "deck";
      this.#granted(ahead.grant);
      return this.#start(turn);
    }
    this.#release(this.#standby);
    try {
      const grant = await asked;
      if (turn !== this.#turn) return;
      if (fits) this.#steps.prepared = "head";
      this.#granted(grant);
      this.#deck.src = grant.urls[0];
      if (this.#cued > 0) this.#deck.currentTime = this.#cued;
      await this.#start(turn);
    } catch (error) {
      if (turn === this.#turn) this.#refuse(error);
    }
  }

  /** A finger is on this track: the right to play it is asked for while the finger is still going down and up. */
  anticipate(track, next) {
    const what = `${track.id} ${wish()}`;
    if (this.#guess?.what === what || this.#ahead?.track.id === track.id) return;
    const asked = requestGrant(track, next);
    this.#guess = { what, asked };
    asked.catch(() => {}); // If the press comes, it is heard in `play`.
    setTimeout(() => this.#guess?.asked === asked && (this.#guess = null), GUESS_MS);
  }

  /** Shows a track without a sound, where it was left: the next `toggle` plays it from there. */
  cue(track, at) {
    this.#begin(track);
    this.grant = null;
    this.#cued = at;
    this.#set("paused");
    this.#tell("time", { position: at, duration: track.durationMs / 1000 });
  }

  toggle(tapped = performance.now()) {
    if (!this.track) return;
    if (!this.grant) return this.play(this.track, { tapped, at: this.#cued });
    if (this.state !== "paused") return this.pause();
    if (this.#deck.error || !fresh(this.grant)) return this.#renew(true);
    this.#set("waiting");
    this.#deck.play().catch((error) => error.name !== "AbortError" && this.#refuse(error));
  }

  pause() {
    clearTimeout(this.#handover);
    this.#tapped = null;
    if (!this.grant) this.#turn += 1; // A grant that is still under way is not waited for.
    this.#set("paused");
    this.#deck.pause();
  }

  seek(seconds) {
    if (!this.track) return;
    const target = Math.min(Math.max(0, seconds), Math.max(0, this.duration - 0.2));
    clearTimeout(this.#handover);
    if (!this.grant) this.#cued = target;
    else this.#deck.currentTime = target;
    this.#tell("time", { position: target, duration: this.duration });
  }

  stop() {
    this.#begin(null);
    this.grant = null;
    this.#ahead = null;
    this.#tapped = null;
    this.#release(this.#deck);
    this.#release(this.#standby);
    this.#set("idle");
  }

  /** The queue changed behind the current track: what was prepared may be the wrong track now. */
  reconsider() {
    const next = this.#upcoming();
    if (this.#ahead && this.#ahead.track.id === next?.id && this.#ahead.wish === wish()) return;
    this.#dropAhead();
    if (this.state === "playing" && this.#tapped === null) this.#prepare(this.#turn);
  }

  /** The other deck is left alone where it has nothing of the next track: it may be playing out the last one. */
  #dropAhead() {
    clearTimeout(this.#handover);
    if (this.#ahead?.loaded) this.#release(this.#standby);
    this.#ahead = null;
  }

  /** Another quality was chosen: go on at the same second with another rendition. */
  requality() {
    this.#dropAhead();
    if (this.grant) this.#renew(this.state !== "paused");
  }

  applyVolume() {
    this.#loud(this.#deck, this.track);
    if (this.#ahead) this.#loud(this.#standby, this.#ahead.track);
  }

  // --- one play -------------------------------------------------------------------------------------------------

  #begin(track) {
    clearTimeout(this.#handover);
    this.#renewals = 0;
    this.track = track;
    this.#tell("track", { track });
    this.#turn += 1;
    return this.#turn;
  }

  #granted(grant) {
    this.grant = grant;
    if (this.#steps) this.#steps.granted = performance.now();
    this.applyVolume();
    this.#tell("granted", { grant });
  }

  async #start(turn) {
    try {
      await this.#deck.play();
    } catch (error) {
      // AbortError: another tap came first. Errors of the network or the file arrive as an `error` event.
      if (turn !== this.#turn || error.name === "AbortError" || error.name === "NotSupportedError") return;
      this.#refuse(error.name === "NotAllowedError" ? new Error("The browser wants a click before it plays sound.") : error);
    }
  }

  #refuse(error) {
    this.#tapped = null;
    this.#set("paused");
    this.#tell("refused", { error });
  }

  /** Goes on at the same second with a new URL: after expiry, or in another quality. */
  async #renew(andPlay) {
    const at = this.#deck.currentTime;
    const turn = (this.#turn += 1);
    if (andPlay) this.#set("waiting");
    try {
      const grant = await requestGrant(this.track, this.#upcoming());
      if (turn !== this.#turn) return;
      this.#granted(grant);
      this.#deck.src = grant.urls[0];
      this.#deck.currentTime = at;
      if (andPlay) await this.#start(turn);
    } catch (error) {
      if (turn === this.#turn) this.#refuse(error);
    }
  }

  /** The element does not say why it failed: ask the URL for one byte and read the answer. */
  async #failed() {
    const grant = this.grant;
    if (!grant || !this.#deck.error) return;
    // A page may not read what a publisher's server answers.
    if (this.track?.episode) return this.#refuse(new Error("The publisher's server does not give this episode's sound."));
    const turn = this.#turn;
    const wasPlaying = this.state !== "paused";
    const answer = await fetch(grant.urls[0], { headers: { Range: "bytes=0-0" }, cache: "no-store" }).catch(() => null);
    if (turn !== this.#turn) return;
    if (!answer) return this.#refuse(new Error("The edge cannot be reached. Is needledrop still running?"));
    const expired = answer.status === 403 || !fresh(grant);
    if (!answer.ok && !expired) return this.#refuse(await refusal(answer));
    // Otherwise the connection broke in the middle and the edge is back, or the URL has expired.
    if (this.#renewals >= RENEWALS_MAX) return this.#refuse(answer.ok ? new Error("This track could not be played.") : await refusal(answer));
    this.#renewals += 1;
    return this.#renew(wasPlaying);
  }

  #sounding() {
    this.#set("playing");
    if (this.#tapped === null) return this.#prepare(this.#turn);
    const at = performance.now();
    const { asked, granted } = this.#steps;
    const prepared = this.track.episode ? "publisher" : this.#steps.prepared;
    const total = Math.max(0, at - this.#tapped);
    this.#tapped = null;
    this.#tell("needle", { ms: total, grantMs: Math.max(0, granted - asked), prepared, url: this.grant.urls[0], track: this.track });
    this.#prepare(this.#turn);
  }

  // --- the next track ---------------------------------------------------------------------------------------------

  /** Gets the right to the next track and its head. */
  async #prepare(turn) {
    const next = this.#upcoming();
    // Episodes start where they were left, and their publishers count every fetch: nothing is taken ahead.
    if (!next || next.episode || this.#ahead?.track.id === next.id) return;
    const what = `${turn} ${next.id} ${wish()}`;
    if (this.#preparing === what) return;
    this.#preparing = what;
    try {
      const wished = wish();
      const grant = await requestGrant(next);
      if (turn !== this.#turn || this.#upcoming()?.id !== next.id) return;
      this.#ahead = { track: next, wish: wished, grant, loaded: false };
      await fetchHead(grant);
      if (turn === this.#turn) this.#tell("prefetched", { track: next });
    } catch {
      // A prefetch that fails costs nothing: the track is asked for again when its turn comes.
    } finally {
      if (this.#preparing === what) this.#preparing = "";
    }
  }

  /** Close to the end the other deck takes the next track up, and closer still a timer is set to start it. */
  #nearTheEnd() {
    const left = this.#deck.duration - this.#deck.currentTime;
    const ahead = this.#ahead;
    if (!ahead || !(left < STANDBY_S) || !fresh(ahead.grant)) return;
    if (!ahead.loaded) {
      ahead.loaded = true;
      this.#loud(this.#standby, ahead.track);
      this.#standby.src = ahead.grant.urls[0];
    }
    if (left > HANDOVER_S || this.#deck.paused) return;
    clearTimeout(this.#handover);
    this.#handover = setTimeout(() => this.#handOver(), Math.max(0, left * 1000 - this.#leadMs));
  }

  /** The next track starts while the last sound of this one leaves the speaker. */
  #handOver() {
    const ahead = this.#ahead;
    if (!ahead?.loaded || this.#deck.paused || this.#standby.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) return;
    const endsAt = performance.now() + (this.#deck.duration - this.#deck.currentTime) * 1000;
    const begun = performance.now();
    this.#ahead = null;
    this.#tell("leaving", { ended: true });
    this.#swap({ letFinish: true });
    const turn = this.#begin(ahead.track);
    this.#granted(ahead.grant);
    this.#tell("advanced", { track: ahead.track });
    this.#deck.addEventListener("playing", () => {
      this.#leadMs = Math.min(LEAD_MS_MAX, (this.#leadMs + performance.now() - begun) / 2);
      if (turn !== this.#turn) return;
      this.#tell("gap", { ms: performance.now() - endsAt });
      this.#prepare(turn);
    }, { once: true });
    this.#start(turn);
  }

  #swap({ letFinish = false } = {}) {
    const old = this.#deck;
    [this.#deck, this.#standby] = [this.#standby, old];
    if (!letFinish) return this.#release(old);
    old.addEventListener("ended", () => old === this.#standby && !this.#ahead?.loaded && this.#release(old), { once: true });
  }

  #ended() {
    clearTimeout(this.#handover);
    this.#tell("leaving", { ended: true });
    this.#tell("ended");
  }

  // --- decks --------------------------------------------------------------------------------------------------------

  #release(audio) {
    audio.pause();
    if (!audio.hasAttribute("src")) return;
    audio.removeAttribute("src");
    audio.load();
  }

  #loud(audio, track) {
    const quieter = settings.loudness && Number.isFinite(track?.lufs) ? Math.min(1, 10 ** ((TARGET_LUFS - track.lufs) / 20)) : 1;
    // Squared, because ears hear ratios: half the slider is about half as loud.
    audio.volume = settings.volume ** 2 * quieter;
    audio.muted = settings.muted;
  }

  #set(state) {
    if (this.state === state) return;
    this.state = state;
    this.#tell("state", { state });
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Wires one deck; events of the deck that is not playing are of no interest. */
  #wire(audio) {
    const on = (name, act) => audio.addEventListener(name, () => audio === this.#deck && act());
    const time = () => this.#tell("time", { position: audio.currentTime, duration: this.duration });
    on("playing", () => this.#sounding());
    on("waiting", () => this.state === "playing" && this.#set("waiting"));
    on("pause", () => !audio.ended && !audio.error && this.state === "playing" && this.#set("paused"));
    on("error", () => this.#failed());
    on("timeupdate", () => {
      time();
      this.#nearTheEnd();
    });
    on("progress", time);
    on("durationchange", time);
    on("ended", () => this.#ended());
  }
}
