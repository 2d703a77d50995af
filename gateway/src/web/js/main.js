// The start: makes the parts, joins them, and shows the view that the address names.

import * as api from "./api.js";
import { deckBar } from "./deck.js";
import { $, h } from "./dom.js";
import { Drops } from "./drops.js";
import { icon } from "./icons.js";
import { wireKeys, wireMediaKeys } from "./keys.js";
import { openMenu } from "./menu.js";
import * as model from "./model.js";
import { Player } from "./player.js";
import { reportPlays } from "./plays.js";
import { reportPositions } from "./positions.js";
import { Queue } from "./queue.js";
import * as router from "./router.js";
import { applyTheme, changes, set, settings } from "./settings.js";
import { stage } from "./stage.js";
import { forgetQueue, keepQueue } from "./sync.js";
import { complain, say } from "./toast.js";
import { ownPlaylists } from "./trackmenu.js";
import { mustChange } from "./views/account.js";
import { album, loadAlbum } from "./views/album.js";
import { artist } from "./views/artist.js";
import { home } from "./views/home.js";
import { invitations } from "./views/invitations.js";
import { alreadyIn, join } from "./views/join.js";
import { albums, artists, tracks } from "./views/library.js";
import { empty, markCurrent, pill } from "./views/parts.js";
import { playlist, playlists } from "./views/playlists.js";
import { podcasts, show as podcast } from "./views/podcasts.js";
import { queue as queueView } from "./views/queue.js";
import { search, wireSearch } from "./views/search.js";
import { settings as settingsView } from "./views/settings.js";
import { signin } from "./views/signin.js";

const VIEWS = { home, album, artist, albums, artists, tracks, search, playlists, playlist, podcasts, show: podcast, queue: queueView, settings: settingsView, invitations, join: alreadyIn };
const PLACES = [["home", "Home", "home"], ["albums", "Library", "album"], ["playlists", "Playlists", "playlist"], ["podcasts", "Podcasts", "podcast"], ["queue", "Queue", "queue"]];
const LIBRARY = new Set(["albums", "artists", "tracks", "album", "artist"]);
/** Before this a view that is not there yet shows nothing: a flash of grey would be slower to the eye. */
const SKELETON_MS = 180;
/** Into a track by more than this, "previous" starts it again. */
const RESTART_S = 3;

const root = document.documentElement;

/** What views and parts may ask of the whole. */
export class App {
  /** @type {{ id: string, display_name: string, plan: string, is_admin: boolean } | null} */
  me = null;
  features = { accounts: false, playlists: false };
  queue = new Queue();
  player = new Player([$("deck-a"), $("deck-b")], () => this.queue.upcoming);
  drops = new Drops(this.player);
  /** @type {{ settled: () => Promise<void> } | null} */
  plays = null;
  sync = keepQueue(this.player, this.queue);

  go = router.go;
  replace = router.replace;
  reload = () => show(router.current(), true);
  onSettings = (act) => changes.addEventListener("change", act);

  playTracks(tracks, index, tapped) {
    this.queue.set(tracks, index);
    this.player.play(this.queue.track, { tapped });
  }

  shuffleTracks(tracks, tapped) {
    this.queue.set(tracks, Math.floor(Math.random() * tracks.length), { shuffled: true });
    this.player.play(this.queue.track, { tapped });
  }

  async playAlbum(id, tapped) {
    try {
      const { tracks } = await loadAlbum(id);
      if (tracks.length) this.playTracks(tracks, 0, tapped);
    } catch (error) {
      complain(error);
    }
  }

  /** Some record of the library, or some track where there are no records. */
  async dropAnywhere(tapped) {
    const somewhere = (page) => Math.floor(Math.random() * (page?.total ?? 0));
    try {
      const first = await api.getIfThere("/v1/albums?limit=1&offset=0");
      if (first?.total) {
        const page = await api.get(`/v1/albums?limit=1&offset=${somewhere(first)}`);
        return await this.playAlbum(page.items[0].id, tapped);
      }
      const list = model.items(await api.get("/v1/tracks?limit=50"), (t) => model.track(t));
      if (list.length) this.shuffleTracks(list, tapped);
    } catch (error) {
      complain(error);
    }
  }

  toggle(tapped) {
    if (this.player.track) return this.player.toggle(tapped);
    if (this.queue.track) this.player.play(this.queue.track, { tapped });
  }

  next(tapped) {
    if (this.queue.advance()) this.player.play(this.queue.track, { tapped });
  }

  previous(tapped) {
    if (!this.player.track) return;
    if (this.player.position > RESTART_S || !this.queue.back()) return this.player.seek(0);
    this.player.play(this.queue.track, { tapped });
  }

  jump(key, tapped) {
    if (this.queue.jump(key)) this.player.play(this.queue.track, { tapped });
  }

  nudgeVolume(by) {
    set("muted", false);
    set("volume", Math.min(1, Math.max(0, settings.volume + by)));
  }

  toggleMute() {
    set("muted", !settings.muted);
  }

  leaveNow() {
    if (cameFrom) router.go(cameFrom);
    else router.go("#/");
  }

  async playlistsChanged() {
    const lists = await ownPlaylists().catch(() => null);
    this.features.playlists = lists !== null;
    $("spine-playlists").hidden = !lists?.length;
    $("spine-playlists").querySelector("ul").replaceChildren(...(lists ?? []).map((list) => h("li", {}, h("a", { href: router.to("playlist", list.id), text: list.name }))));
    drawPlaces();
  }

  async signedIn(user) {
    this.me = user ?? (await api.get("/v1/me", { fresh: true }));
    if (this.me?.must_change_password) return showForm(mustChange(this));
    await enter();
  }

  /** The account is no more. */
  gone() {
    this.player.stop();
    this.queue.set([], 0);
    forgetQueue();
    api.forget();
    this.me = null;
    router.go("#/");
    showDoor();
    say("Your account is gone.");
  }

  async signOut() {
    this.player.stop();
    await this.plays?.settled(); // What was heard is told while the server still knows by whom.
    await api.remove("/v1/session").catch(complain);
    this.queue.set([], 0);
    forgetQueue();
    api.forget();
    this.me = null;
    showDoor();
  }
}

const app = new App();

// --- the player's news --------------------------------------------------------------------------------------------

app.player.addEventListener("state", ({ detail }) => (root.dataset.state = detail.state));
app.player.addEventListener("track", ({ detail }) => markCurrent(detail.track?.id));
app.player.addEventListener("refused", ({ detail }) => complain(detail.error));
app.player.addEventListener("advanced", () => app.queue.repeat !== "one" && app.queue.advance());
app.player.addEventListener("ended", () => {
  const again = app.queue.repeat === "one";
  if (again || app.queue.advance()) return app.player.play(app.queue.track, { tapped: performance.now() });
  app.player.cue(app.queue.track, 0);
});
app.queue.addEventListener("change", () => app.player.reconsider());
app.onSettings(({ detail }) => {
  if (detail === "theme") applyTheme();
  if (detail === "quality") app.player.requality();
  if (["volume", "muted", "loudness"].includes(detail)) app.player.applyVolume();
});

// --- views ----------------------------------------------------------------------------------------------------------

let turn = 0;
/** The view under the turntable, so that closing it leads back. */
let cameFrom = "";
let shown = "";

async function show(route, isBack) {
  if (atDoor) return;
  const mine = ++turn;
  const name = VIEWS[route.name] || route.name === "now" ? route.name : "home";
  // The turntable lies over whatever is open: nothing below is drawn anew.
  if (name === "now" && app.me !== undefined) {
    root.dataset.route = "now";
    drawPlaces();
    if (!cameFrom) await draw(VIEWS.home, { name: "home", id: "", query: new URLSearchParams() }, mine, false);
    return $("stage").querySelector(".stage-close").focus({ preventScroll: true });
  }
  const wasNow = root.dataset.route === "now";
  root.dataset.route = name;
  cameFrom = location.hash || "#/";
  if (name !== "search") $("search").value = "";
  drawPlaces();
  if (wasNow && shown === location.hash) return scrollTo(0, router.position());
  await draw(VIEWS[name], route, mine, isBack);
}

async function draw(view, route, mine, isBack) {
  const main = $("main");
  const first = shown === "";
  const typing = document.activeElement === $("search");
  const waiting = setTimeout(() => main.classList.add("is-waiting"), SKELETON_MS);
  main.setAttribute("aria-busy", "true");
  let node;
  try {
    node = await view(app, route);
  } catch (error) {
    if (error.name === "AbortError" || error.status === 401) return;
    node = api.isMissing(error) ? empty("Not here (any more)", "The library has nothing under this address.") : empty("That did not work", error.message, pill("Try again", null, () => app.reload(), { class: "quiet" }));
  } finally {
    clearTimeout(waiting);
    if (mine === turn) main.classList.remove("is-waiting");
    if (mine === turn) main.removeAttribute("aria-busy");
  }
  if (mine !== turn) return;
  const same = shown.split("?")[0] === location.hash.split("?")[0] && shown !== "";
  shown = location.hash;
  main.replaceChildren(node);
  markCurrent(app.player.track?.id);
  scrollTo(0, isBack ? router.position() : 0);
  // The heading is where a screen reader goes on; a field that is being typed in keeps the keyboard.
  if (!first && !typing && !same) (main.querySelector("h1") ?? main).focus({ preventScroll: true });
}

function drawPlaces() {
  const here = root.dataset.route;
  const open = PLACES.filter(([name]) => name !== "playlists" || app.features.playlists);
  $("places").replaceChildren(...open.map(([name, text, picture]) => {
    const current = here === name || (name === "albums" && LIBRARY.has(here)) || (name === "playlists" && here === "playlist") || (name === "podcasts" && here === "show");
    return h("li", {}, h("a", { href: router.to(name), "aria-current": current ? "page" : null }, icon(picture), h("span", { text })));
  }));
}

// --- accounts ---------------------------------------------------------------------------------------------------------

/** Whether a form stands in place of everything else. */
let atDoor = false;

async function showDoor() {
  turn += 1;
  atDoor = true;
  root.dataset.route = "signin";
  const mine = turn;
  const route = router.current();
  const door = await (route.name === "join" ? join(app, route) : signin(app));
  if (mine === turn) showForm(door);
}

/** A form in place of everything else; the keyboard goes to what is still to be said. */
function showForm(door) {
  turn += 1;
  atDoor = true;
  root.dataset.route = "signin";
  $("main").replaceChildren(door);
  const open = [...door.querySelectorAll("input")].find((input) => !input.value);
  (open ?? door.querySelector("[type=submit]")).focus({ preventScroll: true });
  shown = "";
}

// At the door the address may still change: to the form for an account, and back.
addEventListener("hashchange", () => {
  if (atDoor && !app.me) showDoor();
});

api.signedOut.addEventListener("signedout", () => {
  if (root.dataset.route === "signin") return;
  app.player.pause();
  app.me = null;
  api.forget();
  showDoor();
});

function accountMenu() {
  const themes = [["system", "Like the system"], ["light", "Light"], ["dark", "Dark"]].map(([value, label]) => ({ label, checked: settings.theme === value, act: () => set("theme", value) }));
  const entries = [...themes, "line", { label: "Settings and keys", href: "#/settings" }];
  if (app.me?.is_admin) entries.push({ label: "Invitations", href: "#/invitations" }, { label: "Operations", href: "/ops" });
  if (app.me) entries.push({ label: "Sign out", act: () => app.signOut() });
  openMenu($("account"), entries, "Account and settings");
}

let entered = false;

/** From here on the library is open. */
async function enter() {
  atDoor = false;
  $("account").replaceChildren(app.me?.display_name ? h("span", { text: [...app.me.display_name][0].toUpperCase() }) : icon("sliders"));
  app.playlistsChanged();
  if (!entered) {
    entered = true;
    app.plays = reportPlays(app.player);
    reportPositions(app.player);
    router.start(show);
  } else {
    shown = "";
    show(router.current(), false);
  }
  await app.sync.restore();
}

async function begin() {
  applyTheme();
  deckBar(app, $("deck"));
  stage(app, $("stage"));
  wireKeys(app);
  wireMediaKeys(app);
  wireSearch(app);
  drawPlaces();
  $("account").addEventListener("click", accountMenu);
  $("skip").addEventListener("click", (event) => {
    event.preventDefault();
    $("main").focus();
  });
  try {
    const me = await api.getIfThere("/v1/me", { fresh: true });
    await (me ? app.signedIn(me) : enter());
  } catch (error) {
    if (error.status === 401) return; // The door is open already.
    $("main").replaceChildren(empty("needledrop cannot be reached", error.message, pill("Try again", null, () => location.reload())));
  }
}

begin();
