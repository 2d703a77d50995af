// Calls to the server: JSON below /v1, problems (RFC 9457) as sentences, and a short memory so that "back" is instant.

/** Answers kept, and for how long: the library changes rarely, and a list that is a minute old is still a list. */
const MEMORY_ANSWERS_MAX = 80;
const MEMORY_MS = 60_000;
/** Pages of one list that are asked for at once. */
const PAGES_AT_ONCE = 4;

/** A failure in words that can be shown; `status` is 0 where there was no answer at all. */
export class Refused extends Error {
  constructor(status, words, kind = "") {
    super(words);
    this.status = status;
    this.kind = kind;
  }
}

/** Told when the server does not know us (any more). */
export const signedOut = new EventTarget();

const memory = new Map();

/** Whether a failure only says that the server has no such service. */
export const isMissing = (error) => error instanceof Refused && (error.status === 404 || error.status === 501);

/** Reads problem+json into a sentence. @param {Response} response */
export async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const words = [problem?.title, problem?.detail].filter((w) => typeof w === "string" && w).join(": ");
  const kind = String(problem?.type ?? "").split(":").pop();
  return new Refused(response.status, words || `The server answered ${response.status}.`, kind);
}

async function call(method, path, body, more = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-Requested-With"] = "needledrop";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const options = { method, headers, body: body === undefined ? undefined : JSON.stringify(body), ...more };
  const response = await fetch(path, options).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server cannot be reached. Is needledrop still running?");
  });
  if (!response.ok) {
    const refused = await refusal(response);
    // A password that was mistyped, at the door or to confirm something, ends no session.
    if (response.status === 401 && refused.kind !== "wrong-password") signedOut.dispatchEvent(new Event("signedout"));
    throw refused;
  }
  const text = await response.text();
  if (!text) return {};
  try {
    return JSON.parse(text);
  } catch {
    throw new Refused(response.status, "The server's answer could not be read.");
  }
}

/** A path with its query, without the parts that are empty. */
export function withQuery(path, query) {
  const kept = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return kept.length ? `${path}?${new URLSearchParams(kept)}` : path;
}

/** Asks, and remembers the answer for a minute. */
export async function get(path, { fresh = false, signal } = {}) {
  const known = memory.get(path);
  if (!fresh && known && performance.now() - known.at < MEMORY_MS) return known.value;
  const value = await call("GET", path, undefined, { signal });
  memory.delete(path);
  memory.set(path, { value, at: performance.now() });
  if (memory.size > MEMORY_ANSWERS_MAX) memory.delete(memory.keys().next().value);
  return value;
}

/** The pages of a list behind its first, some at a time. @param {{items: unknown[], total: number}} first */
export async function following(path, first) {
  const size = first?.items?.length ?? 0;
  const pages = [];
  for (let at = size; size > 0 && at < first.total; at += size * PAGES_AT_ONCE) {
    const offsets = Array.from({ length: PAGES_AT_ONCE }, (_, n) => at + n * size).filter((offset) => offset < first.total);
    pages.push(...(await Promise.all(offsets.map((offset) => get(withQuery(path, { limit: size, offset }))))));
  }
  return pages;
}

/** Like `get`, but null where the server has no such service. */
export async function getIfThere(path, options) {
  try {
    return await get(path, options);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** Asks and never remembers: signed URLs and state. */
export const ask = (path, options) => call("GET", path, undefined, options);

async function change(method, path, body, options) {
  memory.clear();
  return call(method, path, body, options);
}

export const post = (path, body) => change("POST", path, body);
export const put = (path, body) => change("PUT", path, body);
export const remove = (path, body) => change("DELETE", path, body);

/** Tells the server something that may outlive the page; nothing that is remembered depends on it. */
export const tell = (method, path, body) => call(method, path, body, { keepalive: true });

export const forget = () => memory.clear();

/** An id or a word as one segment of a path. */
export const segment = encodeURIComponent;
