// Which view the address names. Everything is behind the `#`, so the server needs to know one page only.

/** Scroll positions remembered, by entry of the history. */
const POSITIONS_MAX = 50;

const positions = new Map();
let entry = 0;

/**
 * "#/album/ID?x=1" -> { name: "album", id: "ID", query }.
 * @param {string} hash
 */
export function parse(hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [name, id = ""] = path.split("/");
  return { name: name || "home", id: decode(id), query: new URLSearchParams(search) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** @param {string} name @param {string} [id] */
export const to = (name, id) => (id ? `#/${name}/${encodeURIComponent(id)}` : `#/${name === "home" ? "" : name}`);

export const current = () => parse(location.hash);

export function go(hash) {
  location.hash = hash;
}

/** Changes the address without a new entry in the history, and shows what it names. */
export function replace(hash) {
  history.replaceState(history.state, "", hash);
  dispatchEvent(new Event("hashchange"));
}

/** Calls `show(route, isBack)` for this address and every later one. */
export function start(show) {
  history.scrollRestoration = "manual";
  const arrive = () => {
    const known = history.state?.entry;
    if (known === undefined) {
      entry += 1;
      history.replaceState({ entry: `${performance.timeOrigin}-${entry}` }, "");
    }
    show(current(), known !== undefined);
  };
  addEventListener("hashchange", arrive);
  addEventListener("scroll", remember, { passive: true });
  arrive();
}

function remember() {
  const key = history.state?.entry;
  if (key === undefined) return;
  positions.delete(key);
  positions.set(key, scrollY);
  if (positions.size > POSITIONS_MAX) positions.delete(positions.keys().next().value);
}

/** Where the page was scrolled to when this entry of the history was left. */
export const position = () => positions.get(history.state?.entry) ?? 0;
