// Needle drops: how long each tap took to sound, where the time went, and where the sound came from.

/** Drops remembered for the little chart. */
const DROPS_MAX = 24;
/** How long the browser may take to write down what the edge said. */
const TIMING_WAIT_MS = 4000;

/** @typedef {{ ms: number, grantMs: number, byteMs: number, prepared: string, cache: string, edgeMs: number | null }} Drop */

export class Drops extends EventTarget {
  /** @type {Drop[]} */
  list = [];
  /** Silence between the last two tracks that followed by themselves, in ms; null before there were two. */
  gapMs = null;

  /** @returns {Drop | undefined} */
  get last() {
    return this.list.at(-1);
  }

  /** @param {import("./player.js").Player} player */
  constructor(player) {
    super();
    player.addEventListener("needle", (event) => this.#add(event.detail));
    player.addEventListener("gap", (event) => {
      this.gapMs = event.detail.ms;
      this.#changed();
    });
  }

  #add({ ms, grantMs, prepared, url }) {
    const drop = { ms, grantMs: Math.min(ms, grantMs), byteMs: 0, prepared, cache: "", edgeMs: null };
    this.list.push(drop);
    if (this.list.length > DROPS_MAX) this.list.shift();
    this.#changed();
    whenTimed(url, (entry) => {
      const timing = Object.fromEntries(entry.serverTiming.map((t) => [t.name, t]));
      drop.cache = timing.cache?.description ?? "";
      drop.edgeMs = timing.edge?.duration ?? null;
      if (prepared === "nothing" && entry.responseStart > entry.startTime) drop.byteMs = Math.min(ms - drop.grantMs, entry.responseStart - entry.startTime);
      this.#changed();
    });
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** Calls back once the browser has written down the audio's first answer. */
function whenTimed(url, tell) {
  const name = new URL(url, location.href).href;
  const found = () => performance.getEntriesByName(name).find((entry) => entry.serverTiming?.length);
  const known = found();
  if (known) return tell(known);
  if (!window.PerformanceObserver) return;
  const observer = new PerformanceObserver(() => {
    const entry = found();
    if (!entry) return;
    observer.disconnect();
    tell(entry);
  });
  observer.observe({ type: "resource" });
  setTimeout(() => observer.disconnect(), TIMING_WAIT_MS);
}

const CACHES = {
  hit: "from the edge's cache",
  stale: "from the edge's cache, a stale copy",
  partial: "partly from the edge's cache",
  collapsed: "with a fetch already under way",
  miss: "from the origin, through the edge",
  bypass: "past the edge's cache",
};

/** Where the sound came from, in words. @param {Drop} drop */
export function source(drop) {
  if (drop.prepared === "deck") return "already on the other deck";
  if (drop.prepared === "publisher") return "from the publisher's own server";
  if (drop.prepared === "head") return "from this device, fetched ahead";
  const where = CACHES[drop.cache] ?? "from the edge";
  return drop.edgeMs === null ? where : `${where} in ${drop.edgeMs < 10 ? drop.edgeMs.toFixed(1) : Math.round(drop.edgeMs)} ms`;
}
