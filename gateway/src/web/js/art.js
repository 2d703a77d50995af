// Pictures: the right size of a cover, a record of our own where there is none, and a colour taken from it.

import { h } from "./dom.js";

/** FNV-1a: the same id always gives the same colours. @param {string} text */
function hash(text) {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

/** The smallest picture that fills `px` at this screen's density, or else the largest. */
export function bestImage(images, px) {
  const wanted = px * Math.min(2, devicePixelRatio || 1);
  const sorted = [...images].sort((a, b) => a.width - b.width);
  return (sorted.find((image) => image.width >= wanted * 0.9) ?? sorted.at(-1))?.url ?? null;
}

/**
 * A cover of about `px` pixels. It is decoration: the name stands beside it.
 * @param {{ id: string, name: string, images: { url: string, width: number }[] } | null} thing
 */
export function art(thing, px, { round = false, eager = false } = {}) {
  const url = thing && bestImage(thing.images, px);
  if (!url) return placeholder(thing, round);
  const picture = h("img", { class: round ? "art is-round" : "art", alt: "", loading: eager ? "eager" : "lazy", decoding: "async", width: px, height: px, src: url });
  picture.addEventListener("error", () => picture.replaceWith(placeholder(thing, round)), { once: true });
  return picture;
}

function placeholder(thing, round) {
  const value = hash(thing?.id ?? "");
  const hue = value % 360;
  const vars = { "--hue": String(hue), "--hue-2": String((hue + 40 + ((value >>> 9) % 80)) % 360), "--at": `${20 + ((value >>> 16) % 60)}% ${20 + ((value >>> 22) % 60)}%` };
  const letter = [...(thing?.name ?? "").trim()][0] ?? "";
  return h("span", { class: round ? "art blank is-round" : "art blank", "aria-hidden": "true", vars }, h("span", { text: letter.toUpperCase() }));
}

/** The colour of a thing without a picture, as its placeholder has it. */
const blankTint = (thing) => `hsl(${hash(thing.id) % 360} 45% 45%)`;

/** The colour that stands out most in a cover. Same-origin pictures may be read back. @returns {Promise<string>} */
export async function tint(thing) {
  const url = bestImage(thing.images, 32);
  if (!url) return blankTint(thing);
  const picture = new Image();
  picture.src = url;
  try {
    await picture.decode();
  } catch {
    return blankTint(thing);
  }
  const side = 16;
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  if (!pen) return blankTint(thing);
  pen.drawImage(picture, 0, 0, side, side);
  return strongest(pen.getImageData(0, 0, side, side).data);
}

/** The mean of the hue that has most vivid pixels; of all pixels where a cover has no colour. */
function strongest(pixels) {
  const bins = Array.from({ length: HUES + 1 }, () => ({ sum: [0, 0, 0], weight: 0 }));
  for (let i = 0; i < pixels.length; i += 4) {
    const rgb = [pixels[i], pixels[i + 1], pixels[i + 2]];
    const [most, least] = [Math.max(...rgb), Math.min(...rgb)];
    const vivid = ((most - least) / 255) ** 2;
    const grey = bins[HUES];
    add(grey, rgb, GREY_WEIGHT);
    if (most > least) add(bins[Math.floor((hue(rgb, most, most - least) / 6) * HUES) % HUES], rgb, vivid);
  }
  const best = bins.reduce((a, b) => (b.weight > a.weight ? b : a));
  return `rgb(${best.sum.map((part) => Math.round(part / best.weight)).join(" ")})`;
}

/** Colours told apart; how much a pixel counts for "none of them". */
const HUES = 12;
const GREY_WEIGHT = 0.03;

function add(bin, rgb, weight) {
  rgb.forEach((part, at) => (bin.sum[at] += part * weight));
  bin.weight += weight;
}

/** 0 to 6, red at 0. */
function hue([r, g, b], most, spread) {
  if (most === r) return ((g - b) / spread + 6) % 6;
  return most === g ? (b - r) / spread + 2 : (r - g) / spread + 4;
}
