// Podcasts: the shows, and one of them with its episodes.

import * as api from "../api.js";
import { art } from "../art.js";
import { h } from "../dom.js";
import { clock, count } from "../format.js";
import { askFor, openMenu } from "../menu.js";
import * as model from "../model.js";
import { to } from "../router.js";
import { complain, say } from "../toast.js";
import { card, empty, head, heading, markCurrent, pill, roundMore, shelf } from "./parts.js";

/** Episodes asked for at a time. */
const PAGE = 50;
/** Longest address that the server takes. */
const FEED_CHARS_MAX = 8192;

export const showCard = (show) => card({ href: to("show", show.id), picture: art(show, 180), name: show.name, sub: show.publisher || count(show.total, "episode") });

/** Rows of episodes. Pressing one plays it from where it was left, and those below it after it. */
export function episodeList(app, episodes) {
  return h("ol", { class: "tracks", role: "list" }, episodes.map((one) => episodeRow(app, one, episodes)));
}

function episodeRow(app, one, all) {
  const { day, about, played, resumeMs } = one.episode;
  const left = played ? "heard" : resumeMs ? `${clock((one.durationMs - resumeMs) / 1000)} left` : "";
  const facts = [day, left, about.split("\n", 1)[0]].filter(Boolean).join(" · ");
  return h("li", { class: "track has-cover episode", data: { id: one.id } },
    h("span", { class: "track-cover", "aria-hidden": "true" }, art({ id: one.episode.show, name: one.artists[0].name, images: one.images }, 48), h("span", { class: "needle" })),
    h("span", { class: "two-lines" },
      h("button", { type: "button", class: "track-play line-1", "aria-label": `Play ${one.name}`, text: one.name, on: { click: (event) => app.playTracks(all, all.indexOf(one), event.timeStamp) } }),
      h("span", { class: "line-2", text: facts })),
    h("span", { class: "clock", text: one.durationMs ? clock(one.durationMs / 1000) : "" }));
}

/** @param {import("../main.js").App} app */
export async function podcasts(app) {
  const [page, latest] = await Promise.all([api.get(`/v1/shows?limit=${PAGE}`), api.get("/v1/episodes?limit=10", { fresh: true })]);
  const shows = model.items(page, model.show);
  const episodes = model.items(latest, (raw) => model.episode(raw));
  const add = async () => {
    const feed = await askFor({ title: "Add a podcast", field: "Address of its feed", yes: "Add", max: FEED_CHARS_MAX });
    if (!feed) return;
    try {
      const show = model.show(await api.post("/v1/shows", { feed }));
      say(`${show.name}: added`);
      app.go(to("show", show.id));
    } catch (error) {
      complain(error);
    }
  };
  const more = page.may_add ? [pill("Add a podcast", "plus", add, { class: "quiet", id: "add-podcast" })] : [];
  if (shows.length === 0) return h("div", { class: "view" }, heading("Podcasts"), empty("No podcasts yet", "A podcast is added by the address of its feed, and its new episodes come by themselves.", ...more));
  return h("div", { class: "view" }, heading("Podcasts", ...more),
    shelf("Shows", shows.map(showCard), { grid: true }),
    episodes.length > 0 && h("section", { class: "block" }, h("div", { class: "row-head" }, h("h2", { text: "Latest episodes" })), episodeList(app, episodes)));
}

/** @param {import("../main.js").App} app */
export async function show(app, { id }) {
  const path = `/v1/shows/${api.segment(id)}`;
  const raw = await api.get(path, { fresh: true });
  const one = model.show(raw);
  const episodes = model.items(raw.episodes, (e) => model.episode(e, one));
  const rows = episodeList(app, episodes);
  const attempt = async (act, words, then) => {
    try {
      await act();
      say(words);
      then();
    } catch (error) {
      complain(error);
    }
  };
  const destroy = async () => {
    if (await askFor({ title: `Remove ${one.name}?`, text: "Its episodes go, and how far they were heard.", yes: "Remove", danger: true })) {
      attempt(() => api.remove(path), "The podcast is gone.", () => app.go("#/podcasts"));
    }
  };
  const manage = (button) => openMenu(button, [
    { label: "Look for new episodes", act: () => attempt(() => api.post(`${path}/refresh`), "Looked.", app.reload) },
    { label: "Remove…", act: destroy, danger: true },
  ]);
  const older = pill("Older episodes", null, async () => {
    const page = await api.get(`${path}/episodes?limit=${PAGE}&offset=${episodes.length}`).catch(complain);
    const more = page ? model.items(page, (e) => model.episode(e, one)) : [];
    episodes.push(...more);
    rows.append(...more.map((episode) => episodeRow(app, episode, episodes)));
    markCurrent(app.player.track?.id);
    older.hidden = more.length === 0 || episodes.length >= one.total;
  }, { class: "quiet" });
  older.hidden = episodes.length >= one.total;
  return h("div", { class: "view" },
    head({
      picture: art(one, 300, { eager: true }),
      kind: "Podcast",
      title: one.name,
      lines: [h("p", { class: "head-by", text: one.publisher }), h("p", { class: "head-facts", text: count(one.total, "episode") }), one.problem && h("p", { class: "notice", role: "status", text: `The feed could not be read lately: ${one.problem}` })],
      actions: [
        episodes.length > 0 && pill("Play the latest", "play", (event) => app.playTracks(episodes, 0, event.timeStamp), { class: "big" }),
        raw.may_add && roundMore(`More for ${one.name}`, manage),
      ],
    }),
    one.about && h("p", { class: "about", text: one.about }),
    h("section", { class: "block", "aria-label": "Episodes" }, rows, older));
}
