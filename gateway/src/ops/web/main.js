// The operator page: asks every few seconds while somebody looks, and draws what it is told.

import * as api from "/web/js/api.js";
import { $, h, setText } from "/web/js/dom.js";
import { applyTheme } from "/web/js/settings.js";
import { Acts } from "./acts.js";
import { newPassword, notAllowed, signIn } from "./door.js";
import { Edges, stateWord } from "./edges.js";
import { Audit, Errors, Top } from "./lists.js";
import { Plot } from "./plot.js";
import { bits, bytes, ms, percent, perSecond, short } from "./units.js";

const root = document.documentElement;
/** After a failure the next question comes later, and later again, up to a bound. */
const RETRY_S_MAX = 60;

const CLASSES = [["head", "Heads"], ["body", "Bodies"], ["art", "Art"]];
const PROTOCOLS = [["h1", "HTTP/1.1"], ["h2", "HTTP/2"], ["h3", "HTTP/3"]];
const groups = (series, by) => (by === "protocols" ? PROTOCOLS : CLASSES).map(([key, name]) => ({ key, name, of: series[by][key] }));
const BY = { classes: "Class", protocols: "Protocol" };

const page = { range: "30m", of: "all", live: true, states: new Map(), edges: [], timer: 0, failures: 0, turn: 0, parts: null };

function board() {
  const parts = {};
  const figure = (key, label, id) => {
    parts[key] = h("dd", { id });
    parts[`${key}Sub`] = h("dd", { class: "figure-sub" });
    return h("div", { class: "figure" }, h("dt", { text: label }), parts[key], parts[`${key}Sub`]);
  };
  const record = h("div", { class: "record-box" });
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 120 120");
  svg.setAttribute("class", "cache-record");
  svg.setAttribute("role", "img");
  const circle = (kind, r) => {
    const element = document.createElementNS(space, "circle");
    for (const [name, value] of Object.entries({ class: kind, cx: 60, cy: 60, r })) element.setAttribute(name, String(value));
    svg.append(element);
    return element;
  };
  circle("rec-disc", 58);
  for (const r of [54, 50, 34, 30]) circle("rec-groove", r);
  circle("rec-free", 42);
  parts.bodies = circle("rec-bodies", 42);
  parts.heads = circle("rec-heads", 42);
  circle("rec-label", 24);
  parts.record = svg;
  parts.fill = h("span", { class: "record-words", "aria-hidden": "true" });
  record.append(svg, parts.fill);
  parts.cacheWords = h("p", { class: "figure-sub" });
  parts.element = h("section", { class: "board", "aria-label": "Now" },
    h("div", { class: "board-record" }, record, h("div", {}, h("h2", { text: "Cache" }), parts.cacheWords)),
    h("dl", { class: "figures" }, figure("requests", "Requests", "now-requests"), figure("hit", "From cache", "now-hit"), figure("start", "Start of a head", "now-start"), figure("sent", "Sent", "now-sent"), figure("failed", "Failing", "now-failed"), figure("open", "Open connections", "now-open")));
  return parts;
}

function drawBoard(parts, totals) {
  const { rates, cache } = totals;
  setText(parts.requests, perSecond(rates?.requests));
  setText(parts.requestsSub, `${totals.up} of ${totals.edges} ${totals.edges === 1 ? "edge" : "edges"} up`);
  setText(parts.hit, percent(rates?.hit_ratio));
  setText(parts.hitSub, `heads ${percent(rates?.classes.head.hit_ratio)}, bodies ${percent(rates?.classes.body.hit_ratio)}`);
  setText(parts.start, ms(rates?.classes.head.p50_ms));
  setText(parts.startSub, `p95 ${ms(rates?.classes.head.p95_ms)}`);
  setText(parts.sent, bits(rates?.bytes));
  setText(parts.sentSub, `from origin ${bits(rates?.upstream_bytes)}`);
  setText(parts.failed, perSecond(rates?.failed));
  setText(parts.failedSub, `refused ${perSecond(rates?.refused)}`);
  parts.failed.classList.toggle("is-bad", rates?.failed > 0);
  setText(parts.open, short(totals.connections));
  setText(parts.openSub, cache ? `${short(cache.pinned)} blocks pinned` : "");
  const round = 2 * Math.PI * 42;
  const arc = (element, from, share) => {
    element.setAttribute("stroke-dasharray", `${(round * share).toFixed(2)} ${round.toFixed(2)}`);
    element.setAttribute("transform", `rotate(${(from * 360 - 90).toFixed(2)} 60 60)`);
  };
  const slots = cache?.slots || 1;
  const [heads, bodies] = [(cache?.heads ?? 0) / slots, (cache?.bodies ?? 0) / slots];
  arc(parts.heads, 0, heads);
  arc(parts.bodies, heads, bodies);
  setText(parts.fill, cache ? percent(heads + bodies) : "–");
  const size = (blocks) => bytes(blocks * cache.block_bytes);
  const words = cache ? `${size(cache.heads)} of heads and ${size(cache.bodies)} of bodies, of ${size(cache.slots)}; ${short(cache.objects)} objects known` : "Nothing is known yet.";
  setText(parts.cacheWords, words);
  parts.record.setAttribute("aria-label", `Cache: ${words}`);
}

function build() {
  const acts = new Acts({ edges: () => page.edges, after: () => { refresh(); page.parts.audit.refresh().catch(() => {}); } });
  const parts = {
    board: board(),
    trouble: h("p", { class: "notice", role: "alert", hidden: true }),
    edges: new Edges(acts),
    plots: [
      new Plot({ title: "From cache", about: "Share of answers that the cache had whole.", format: percent, top: 1, choice: BY, lines: (series, by) => groups(series, by).map(({ name, of }) => ({ name, values: of.hit_ratio })) }),
      new Plot({ title: "Start", about: "Time until the first byte is at hand, 95 of 100 answers.", format: ms, least: 1, choice: BY, lines: (series, by) => groups(series, by).map(({ name, of }) => ({ name, values: of.p95_ms })) }),
      new Plot({ title: "Requests", about: "Answers a second, and those that were refused or failed.", format: perSecond, least: 1, lines: (series) => [{ name: "All", values: series.requests, area: true }, { name: "Refused", values: series.refused }, { name: "Failed", values: series.failed }] }),
      new Plot({ title: "Sent", about: "Body bytes that reached listeners, and what the origin had to give.", format: bits, least: 1000, lines: (series) => [{ name: "To listeners", values: series.bytes, area: true }, { name: "From origin", values: series.upstream_bytes }] }),
    ],
    top: new Top(acts),
    errors: new Errors(),
    audit: new Audit((before) => api.ask(api.withQuery("/v1/ops/audit", { before, limit: 10 }))),
  };
  $("main").replaceChildren(h("h1", { class: "visually-hidden", tabindex: "-1", text: "Operations" }), parts.trouble, parts.board.element, parts.edges.element,
    h("div", { class: "plots" }, parts.plots.map((plot) => plot.element)),
    h("div", { class: "pair" }, parts.top.element, parts.errors.element), parts.audit.element);
  return parts;
}

function draw(said) {
  const { parts } = page;
  page.edges = said.edges;
  parts.trouble.hidden = true;
  drawBoard(parts.board, said.totals);
  parts.edges.draw(said.edges, said.now);
  parts.plots.forEach((plot) => plot.draw(said.series));
  parts.top.draw(said.top, said.now);
  parts.errors.draw(said.errors, said.now);
  choices(said.edges);
  news(said.edges);
}

/** What can be looked at: everything, a region, an edge. */
function choices(edges) {
  const regions = [...new Set(edges.map((edge) => edge.region).filter(Boolean))].sort();
  const wanted = [["all", "All edges"], ...regions.map((region) => [`region:${region}`, `Region ${region}`]), ...edges.map((edge) => [`edge:${edge.name}`, edge.name])];
  const select = $("of");
  const known = [...select.options].map((option) => option.value).join("\n");
  if (known === wanted.map(([value]) => value).join("\n")) return;
  select.replaceChildren(...wanted.map(([value, text]) => h("option", { value, text, selected: value === page.of })));
}

/** Changes of state are said aloud, numbers are not. */
function news(edges) {
  const changed = edges.filter((edge) => page.states.has(edge.name) && page.states.get(edge.name) !== edge.state);
  if (changed.length) setText($("news"), changed.map((edge) => `${edge.name}: ${stateWord(edge.state)}`).join(". "));
  page.states = new Map(edges.map((edge) => [edge.name, edge.state]));
}

/** Asks once; what was asked before and comes later is not drawn. */
async function refresh() {
  clearTimeout(page.timer);
  const turn = (page.turn += 1);
  let wait = 5;
  try {
    const said = await api.ask(api.withQuery("/v1/ops", { range: page.range, of: page.of }));
    if (turn !== page.turn || !page.parts) return;
    page.failures = 0;
    wait = said.look_every_s;
    draw(said);
  } catch (error) {
    if (turn !== page.turn || !page.parts) return;
    page.failures += 1;
    wait = Math.min(RETRY_S_MAX, 5 * 2 ** (page.failures - 1));
    page.parts.trouble.textContent = `${error.message} The next try is in ${wait} s; what is shown is from before.`;
    page.parts.trouble.hidden = false;
  }
  if (page.live && !document.hidden) page.timer = setTimeout(refresh, wait * 1000);
}

function setLive(live) {
  page.live = live;
  $("live").setAttribute("aria-pressed", String(live));
  setText($("live-words"), live ? "Live" : "Paused");
  if (live) refresh();
  else clearTimeout(page.timer);
}

function enter(user) {
  if (user.must_change_password) return showDoor(newPassword(user, "", enter));
  if (!user.is_admin) return showDoor(notAllowed(user, leave));
  root.dataset.view = "ops";
  $("tools").hidden = false;
  page.parts = build();
  page.parts.audit.refresh().catch((error) => { page.parts.trouble.textContent = error.message; page.parts.trouble.hidden = false; });
  refresh();
}

function showDoor(view) {
  clearTimeout(page.timer);
  root.dataset.view = "door";
  $("tools").hidden = true;
  page.parts = null;
  $("main").replaceChildren(view);
  (view.querySelector("input") ?? view.querySelector("h1")).focus({ preventScroll: true });
}

async function leave() {
  await api.remove("/v1/session").catch(() => {});
  showDoor(signIn(enter));
}

function wire() {
  $("of").addEventListener("change", () => { page.of = $("of").value; refresh(); });
  document.querySelectorAll("[name=range]").forEach((input) => input.addEventListener("change", () => { page.range = input.value; refresh(); }));
  $("live").addEventListener("click", () => setLive(!page.live));
  $("leave").addEventListener("click", leave);
  document.addEventListener("visibilitychange", () => {
    if (!page.parts) return;
    if (document.hidden) clearTimeout(page.timer);
    else if (page.live) refresh();
  });
  api.signedOut.addEventListener("signedout", () => root.dataset.view !== "door" && showDoor(signIn(enter)));
}

async function begin() {
  applyTheme();
  wire();
  try {
    enter(await api.ask("/v1/me"));
  } catch (error) {
    if (error.status === 401) return; // The door is open already.
    $("main").replaceChildren(h("p", { class: "notice", role: "alert", text: error.message }));
  }
}

begin();
