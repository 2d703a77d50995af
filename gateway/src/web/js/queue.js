// What plays now and what follows. Pure: it knows no sound, no page and no network.

/** Tracks in one queue. A queue is kept in the browser and sent to the server, so it cannot grow without end. */
export const QUEUE_TRACKS_MAX = 1000;

/** @typedef {import("./model.js").Track} Track */
/** @typedef {{ key: number, order: number, track: Track }} Item `order` is where it stood before a shuffle */

export class Queue extends EventTarget {
  /** @type {Item[]} */
  items = [];
  index = -1;
  shuffled = false;
  /** @type {"off" | "all" | "one"} */
  repeat = "off";
  #keys = 0;
  #announced = false;
  #random;

  constructor(random = Math.random) {
    super();
    this.#random = random;
  }

  /** @returns {Track | null} */
  get track() {
    return this.items[this.index]?.track ?? null;
  }

  /** What follows by itself when this track has ended. @returns {Track | null} */
  get upcoming() {
    if (this.repeat === "one") return this.track;
    const at = this.index + 1;
    if (at < this.items.length) return this.items[at].track;
    return this.repeat === "all" ? (this.items[0]?.track ?? null) : null;
  }

  get hasNext() {
    return this.index + 1 < this.items.length || (this.repeat === "all" && this.items.length > 0);
  }

  /** Replaces everything. @param {Track[]} tracks */
  set(tracks, index = 0, { shuffled = this.shuffled } = {}) {
    const from = Math.max(0, Math.min(index - 10, tracks.length - QUEUE_TRACKS_MAX));
    this.items = tracks.slice(from, from + QUEUE_TRACKS_MAX).map((track, order) => this.#item(track, order));
    this.index = this.items.length ? Math.min(Math.max(0, index - from), this.items.length - 1) : -1;
    this.shuffled = false;
    if (shuffled) this.#shuffle();
    this.#changed();
  }

  /** @param {Track[]} tracks */
  playNext(tracks) {
    const base = this.items[this.index]?.order ?? 0;
    this.#insert(this.index + 1, tracks, (i) => base + (i + 1) / (tracks.length + 1));
  }

  /** @param {Track[]} tracks */
  add(tracks) {
    const last = Math.max(-1, ...this.items.map((item) => item.order));
    this.#insert(this.items.length, tracks, (i) => last + 1 + i);
  }

  #insert(at, tracks, order) {
    const room = QUEUE_TRACKS_MAX - this.items.length;
    this.items.splice(at, 0, ...tracks.slice(0, room).map((track, i) => this.#item(track, order(i))));
    if (this.index < 0 && this.items.length) this.index = 0;
    this.#changed();
  }

  /** Takes out one that does not play. */
  remove(key) {
    const at = this.items.findIndex((item) => item.key === key);
    if (at < 0 || at === this.index) return;
    this.items.splice(at, 1);
    if (at < this.index) this.index -= 1;
    this.#changed();
  }

  move(key, by) {
    const at = this.items.findIndex((item) => item.key === key);
    const to = at + by;
    if (at <= this.index || to <= this.index || to >= this.items.length) return;
    const [item] = this.items.splice(at, 1);
    this.items.splice(to, 0, item);
    this.#changed();
  }

  clearUpcoming() {
    this.items.length = this.index + 1;
    this.#changed();
  }

  jump(key) {
    const at = this.items.findIndex((item) => item.key === key);
    if (at < 0) return false;
    this.index = at;
    this.#changed();
    return true;
  }

  /** One further; whether there was one. */
  advance() {
    if (!this.hasNext) return false;
    this.index = (this.index + 1) % this.items.length;
    this.#changed();
    return true;
  }

  back() {
    if (this.index <= 0) return false;
    this.index -= 1;
    this.#changed();
    return true;
  }

  toggleShuffle() {
    if (this.shuffled) {
      const key = this.items[this.index]?.key;
      this.items.sort((a, b) => a.order - b.order);
      this.index = this.items.findIndex((item) => item.key === key);
      this.shuffled = false;
    } else {
      this.#shuffle();
    }
    this.#changed();
  }

  cycleRepeat() {
    this.repeat = { off: "all", all: "one", one: "off" }[this.repeat];
    this.#changed();
  }

  /** The current track goes first, the rest in any order (Fisher and Yates). */
  #shuffle() {
    this.shuffled = true;
    const [current] = this.items.splice(this.index, 1);
    for (let i = this.items.length - 1; i > 0; i -= 1) {
      const j = Math.floor(this.#random() * (i + 1));
      [this.items[i], this.items[j]] = [this.items[j], this.items[i]];
    }
    if (current) this.items.unshift(current);
    this.index = this.items.length ? 0 : -1;
  }

  #item(track, order) {
    this.#keys += 1;
    return { key: this.#keys, order, track };
  }

  /** Said after whoever changed it is done, and once: what shows the queue must not hold up what plays it. */
  #changed() {
    if (this.#announced) return;
    this.#announced = true;
    queueMicrotask(() => {
      this.#announced = false;
      this.dispatchEvent(new Event("change"));
    });
  }
}
