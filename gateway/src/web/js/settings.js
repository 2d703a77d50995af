// What the listener chose on this device: volume, quality, even loudness, light or dark.

const KEY = "needledrop.settings";
const DEFAULTS = { volume: 1, muted: false, quality: "auto", loudness: true, theme: "system" };

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return Object.fromEntries(Object.entries(DEFAULTS).map(([name, usual]) => [name, typeof kept?.[name] === typeof usual ? kept[name] : usual]));
  } catch {
    return { ...DEFAULTS }; // No storage, or not ours: the usual settings do.
  }
}

export const settings = read();
export const changes = new EventTarget();

/** @param {keyof typeof DEFAULTS} name */
export function set(name, value) {
  if (settings[name] === value) return;
  settings[name] = value;
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // Storage is full or forbidden: the choice holds until the page is closed.
  }
  changes.dispatchEvent(new CustomEvent("change", { detail: name }));
}

/** Light, dark, or as the system says. */
export function applyTheme() {
  const root = document.documentElement;
  if (settings.theme === "system") delete root.dataset.theme;
  else root.dataset.theme = settings.theme;
}
