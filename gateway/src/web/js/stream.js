// The right to play a track: which codec and bitrate to wish for, and whether a grant can still be used.

import { ask, segment, withQuery } from "./api.js";
import { settings } from "./settings.js";

/** Seconds before a URL expires at which a fresh one is fetched instead of used. */
const EXPIRY_MARGIN_S = 15;

/** @typedef {{ urls: string[], rendition: { codec: string, kbps: number, head_bytes: number | null }, reason: string, expires_at: number, playback_id: string }} Grant */

/**
 * AAC where the browser surely plays it, else Ogg Vorbis. An M4A has its index in front, so a seek is one request;
 * in Ogg, browsers search for the second with a dozen.
 */
const CODEC = (() => {
  const deck = document.createElement("audio");
  const rank = (type) => ["", "maybe", "probably"].indexOf(deck.canPlayType(type));
  return rank('audio/mp4; codecs="mp4a.40.2"') >= rank('audio/ogg; codecs="vorbis"') ? "m4a" : "ogg";
})();

/** The bitrate wished for: the listener's choice, or what the network seems to carry. */
function kbps() {
  if (settings.quality !== "auto") return Number(settings.quality);
  const network = navigator.connection;
  if (network?.saveData) return 96;
  if (!network?.downlink) return 160;
  return network.downlink >= 4 ? 320 : network.downlink >= 1 ? 160 : 96;
}

/** What a grant is asked for with; a grant for another wish does not fit. */
export const wish = () => `${kbps()}.${CODEC}`;

/**
 * @param {import("./model.js").Track} track
 * @param {import("./model.js").Track | null} [following] whose head the edge then fetches
 * @returns {Promise<Grant>}
 */
export function requestGrant({ id, episode }, following) {
  // The sound of an episode is at its publisher's, in the one form that it has.
  if (episode) return ask(`/v1/episodes/${segment(id)}/stream`);
  const next = following?.episode ? null : following?.id;
  // `next=` says that none follows; without it the server would guess.
  const query = withQuery(`/v1/tracks/${segment(id)}/stream`, { kbps: String(kbps()), codec: CODEC });
  return ask(`${query}&next=${next ? segment(next) : ""}`);
}

/** @param {Grant} grant */
export const fresh = (grant) => !grant.expires_at || grant.expires_at - EXPIRY_MARGIN_S > Date.now() / 1000;

/** Gets the head of what was granted, so that the edge and the browser have it before it is due. */
export async function fetchHead(grant) {
  const head = grant.rendition?.head_bytes;
  if (!head) return;
  const answer = await fetch(grant.urls[0], { headers: { Range: `bytes=0-${head - 1}`, Priority: "u=7, i" }, priority: "low" });
  await answer.arrayBuffer();
}
