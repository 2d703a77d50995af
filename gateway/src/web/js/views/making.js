// How far the making of tracks is: a bar, what is read now, and which files could not be read and why.

import * as api from "../api.js";
import { h, setText } from "../dom.js";
import { count, length } from "../format.js";

const LOOK_EVERY_MS = 1500;
/** Rows of failures that are shown; a screen reader's user would not read more either. */
const FAILURES_SHOWN_MAX = 100;

/**
 * What to show while tracks are made, and as long as some could not be. It keeps itself up to date while it is on the
 * page, and calls `changed` when there is more to hear.
 * @param {any} said what /v1/ingest gave @param {() => void} changed @returns {HTMLElement | null}
 */
export function making(said, changed) {
  if (!said || (!said.running && !said.failed && !said.ended_by)) return null;
  const title = h("h2", {});
  const bar = h("progress", { "aria-label": "Music that is ready" });
  const now = h("p", { class: "soft making-now" });
  const summary = h("summary", {});
  const rows = h("ul", { class: "making-failures" });
  const failures = h("details", {}, summary, rows);
  const root = h("section", { class: "making", id: "making", "aria-label": "Taking in music" }, title, bar, now, failures);
  const draw = (fresh) => {
    setText(title, headline(fresh));
    bar.hidden = !fresh.running;
    bar.max = Math.max(1, fresh.seconds_due);
    // Before the first file is measured nobody knows how far it is.
    if (fresh.due > 0) bar.value = fresh.seconds_done;
    else bar.removeAttribute("value");
    setText(now, fresh.running ? reading(fresh) : (fresh.ended_by ?? ""));
    now.hidden = !now.textContent;
    failures.hidden = fresh.failed === 0;
    setText(summary, `${count(fresh.failed, "file")} could not be read`);
    if (rows.childElementCount === Math.min(fresh.failures.length, FAILURES_SHOWN_MAX) && rows.dataset.failed === String(fresh.failed)) return;
    rows.dataset.failed = String(fresh.failed);
    rows.replaceChildren(...fresh.failures.slice(-FAILURES_SHOWN_MAX).map(({ name, reason }) => h("li", {}, h("b", { text: name }), ` ${reason}`)));
  };
  draw(said);
  if (said.running) follow(root, said.tracks, draw, changed);
  return root;
}

async function follow(root, before, draw, changed) {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    if (!root.isConnected) return;
    if (document.hidden) continue;
    const fresh = await api.ask("/v1/ingest").catch(() => null); // A server that is restarting is asked again.
    if (!root.isConnected) return;
    if (!fresh) continue;
    draw(fresh);
    if (fresh.tracks !== before) changed();
    before = fresh.tracks;
    // The last track is listed a moment after it was made.
    if (!fresh.running) return void setTimeout(() => root.isConnected && changed(), LOOK_EVERY_MS);
  }
}

function headline({ running, due, settled, made, failed, ended_by }) {
  if (ended_by) return "Not all of the music could be taken in";
  if (!running) return `${count(made, "track")} added${failed ? `, ${count(failed, "file")} left out` : ""}`;
  return due > 0 ? `Taking in your music: ${settled} of ${count(due, "file")}` : "Looking for music";
}

function reading(fresh) {
  const left = Math.max(0, fresh.seconds_due - fresh.seconds_done);
  const rest = fresh.due > 0 && left > 0 ? `${length(left * 1000)} of music to go` : "";
  return [rest, fresh.reading.length ? `reading ${fresh.reading.join(", ")}` : ""].filter(Boolean).join(" · ");
}
