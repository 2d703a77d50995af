// Numbers and lists in words.

/** 754 -> "12:34"; hours only where there are some. @param {number} seconds */
export function clock(seconds) {
  if (!Number.isFinite(seconds)) return "0:00";
  const whole = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** For screen readers. @param {number} seconds */
export function spoken(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60);
  return `${minutes} ${minutes === 1 ? "minute" : "minutes"} ${whole % 60} seconds`;
}

/** 4980000 -> "1 hr 23 min". @param {number} ms */
export function length(ms) {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 60) return `${Math.max(1, minutes)} min`;
  return [`${Math.floor(minutes / 60)} hr`, minutes % 60 ? `${minutes % 60} min` : ""].filter(Boolean).join(" ");
}

/** @param {number} n @param {string} one @param {string} [many] */
export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/** @param {{name: string}[]} artists */
export const names = (artists) => artists.map((artist) => artist.name).join(", ");
