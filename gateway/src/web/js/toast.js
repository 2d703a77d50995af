// Short words at the edge of the page, read out politely and gone by themselves.

import { $, h } from "./dom.js";

const SHOWN_MS = 5000;
const TOASTS_MAX = 3;

/** @param {string} words */
export function say(words, kind = "note") {
  const box = $("toasts");
  if (box.lastElementChild?.textContent === words) box.lastElementChild.remove();
  const toast = h("p", { class: `toast ${kind}`, text: words });
  box.append(toast);
  while (box.children.length > TOASTS_MAX) box.firstElementChild.remove();
  setTimeout(() => toast.remove(), SHOWN_MS);
}

/** @param {unknown} error */
export const complain = (error) => say(error instanceof Error ? error.message : String(error), "problem");
