// Numbers with their units, short enough for a column.

const DASH = "–";
const known = (n) => typeof n === "number" && Number.isFinite(n);

/** Three digits, and no more behind the point than they need. @param {number} n */
export function short(n) {
  if (!known(n)) return DASH;
  if (n === 0) return "0";
  if (n < 10) return n.toFixed(n < 0.1 ? 2 : 1).replace(/\.?0+$/, "") || "0";
  return Math.round(n).toLocaleString("en").replaceAll(",", "\u202f");
}

function scaled(n, base, units) {
  let place = 0;
  while (n >= base && place < units.length - 1) {
    n /= base;
    place += 1;
  }
  return `${short(n)} ${units[place]}`;
}

/** 1536 -> "1.5 KiB". */
export const bytes = (n) => (known(n) ? scaled(n, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]) : DASH);
/** Bytes a second as bits a second, as lines are sold. */
export const bits = (n) => (known(n) ? scaled(n * 8, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]) : DASH);
/** 0.912 -> "91 %"; what is nearly all keeps a digit. */
export const percent = (n) => (known(n) ? `${n > 0.99 && n < 1 ? (Math.floor(n * 1000) / 10).toFixed(1) : Math.round(n * 100)} %` : DASH);
export const ms = (n) => (known(n) ? (n >= 1000 ? `${short(n / 1000)} s` : `${short(n)} ms`) : DASH);
export const perSecond = (n) => (known(n) ? `${short(n)}/s` : DASH);

/** A moment, short: the time of today, else the day. @param {number} unix */
export function moment(unix) {
  const date = new Date(unix * 1000);
  const today = date.toDateString() === new Date().toDateString();
  const time = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  return today ? time : `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time}`;
}

/** How long, in its largest unit. @param {number} seconds */
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (whole >= size) return `${Math.floor(whole / size)} ${unit}`;
  }
  return `${whole} s`;
}

export const ago = (unix, now) => `${span(now - unix)} ago`;

/** The time of day on an axis. */
export const clock = (unix) => new Date(unix * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
