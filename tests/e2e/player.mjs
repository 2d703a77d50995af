// Drives the web player in Chromium: node player.mjs BASE_URL OUTPUT_FOLDER
//
// One line per check, "ok" or "FAILED", and a non-zero exit if one failed. Screenshots are kept in the folder.
// playwright-core, and axe-core if it is there, are taken from the folder named by MODULES (default: here). USER and
// PASSWORD sign in where the server fills in no account of its own. The library must have a few albums of some tracks.

import fs from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.MODULES ?? process.cwd()}/`);
const { chromium } = require("playwright-core");

const [base, out] = process.argv.slice(2);
if (!base || !out) throw new Error("usage: node player.mjs BASE_URL OUTPUT_FOLDER");
fs.mkdirSync(out, { recursive: true });

const ARGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--mute-audio",
];
const WAIT_MS = 20_000;
/** Silence between two tracks that a listener takes for none, on a machine that does other work as well. */
const GAP_MS_MAX = 120;
/** From a tap to the sound, on a machine that does other work as well. */
const DROP_MS_MAX = 5_000;
/** 2.4 Mbit/s and 40 ms: too slow to have a whole track before a seek. */
const SLOW = { offline: false, latency: 40, downloadThroughput: 300_000, uploadThroughput: 300_000 };

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS });
const origin = new URL(base).origin;
const trouble = { console: [], outside: [], dialogs: [] };
let failures = 0;

async function check(name, act) {
  try {
    const said = await act();
    console.log(`ok      ${name}${said ? `: ${said}` : ""}`);
  } catch (error) {
    failures += 1;
    console.log(`FAILED  ${name}: ${error.message.split("\n").slice(0, 3).join(" ")}`);
  }
}

function expect(condition, words) {
  if (!condition) throw new Error(words);
}

/** Waits for a condition. Playwright's own waitForFunction evaluates text in the page, which the page's policy forbids. */
async function until(page, condition, arg, words = "") {
  const end = Date.now() + WAIT_MS;
  while (!(await page.evaluate(condition, arg))) {
    if (Date.now() > end) throw new Error(`waited in vain: ${words || condition}`);
    await page.waitForTimeout(20);
  }
}

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  // The first question, "who am I?", may be answered 401; Chromium notes that as an error of its own.
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && !/\/v1\/me$/.test(m.location().url) && trouble.console.push(`${m.text()} ${m.location().url}`));
  page.on("pageerror", (e) => trouble.console.push(String(e)));
  page.on("dialog", (d) => (trouble.dialogs.push(d.message()), d.dismiss()));
  page.on("request", (r) => new URL(r.url()).origin !== origin && !/^(data|blob):/.test(r.url()) && trouble.outside.push(r.url()));
  return page;
}

/** Opens the player and comes in through the door, if there is one. */
async function enter(page) {
  await page.goto(base);
  await until(page, () => Boolean(document.querySelector(".home, #user")), null, "neither home nor the door");
  const door = await page.locator("#user").count();
  if (door && process.env.USER && !(await page.inputValue("#user"))) {
    await page.fill("#user", process.env.USER);
    await page.fill("#password", process.env.PASSWORD ?? "");
  }
  if (door) await page.click(".door-form button");
  await page.waitForSelector(".home");
  return door > 0;
}

const visit = async (page, hash, selector) => {
  await page.evaluate((to) => (location.hash = to), hash);
  await page.waitForSelector(selector);
};
const sounding = () => [...document.querySelectorAll("audio")].some((a) => a.currentSrc && !a.paused && a.readyState >= 3 && a.currentTime > 0);
const silent = () => [...document.querySelectorAll("audio")].every((a) => a.paused);
const position = (page) => page.evaluate(() => Math.max(0, ...[...document.querySelectorAll("audio")].filter((a) => !a.paused).map((a) => a.currentTime)));
const title = (page) => page.textContent("#now-title");
/** The address of what is heard, and of every request for it from now on its range. */
const requestsForSound = async (page) => {
  const src = await page.evaluate(() => [...document.querySelectorAll("audio")].find((a) => !a.paused).currentSrc);
  const ranges = [];
  page.on("request", (r) => r.url() === src && ranges.push(r.headers().range ?? "all"));
  return ranges;
};
const seekTo = (page, share) => page.evaluate((part) => {
  const seek = document.getElementById("seek");
  seek.value = String(Number(seek.max) * part);
  seek.dispatchEvent(new Event("change", { bubbles: true }));
  return Number(seek.value);
}, share);

// --- listening ------------------------------------------------------------------------------------------------------

const page = await open();
const told = { plays: [], queues: 0 };
page.on("request", (r) => {
  if (r.method() === "POST" && r.url().endsWith("/v1/plays")) told.plays.push(r.postDataJSON());
  if (r.method() === "PUT" && r.url().endsWith("/v1/me/queue")) told.queues += 1;
});
const keeps = { plays: false, queue: false };

await check("the door opens and home has records or tracks", async () => {
  const door = await enter(page);
  const [cards, rows] = [await page.locator(".card").count(), await page.locator(".track").count()];
  expect(cards + rows > 0, "home is empty");
  await page.screenshot({ path: `${out}/home.png` });
  const status = (path) => page.evaluate((p) => fetch(p, { headers: { Accept: "application/json" } }).then((r) => r.status), path);
  keeps.queue = (await status("/v1/me/queue")) === 200;
  return `${door ? "signed in" : "no door"}, ${cards} cards, ${rows} rows`;
});

const wanted = await page.evaluate(() => fetch("/v1/tracks?limit=20").then((r) => r.json()).then((said) => said.items.find((t) => /^[\w ]+$/.test(t.name)) ?? said.items[0]));

await check("search finds a track as its name is typed", async () => {
  await page.keyboard.press("/");
  expect(await page.evaluate(() => document.activeElement.id === "search"), "the / key does not lead to the search field");
  const began = Date.now();
  await page.keyboard.type(wanted.name.slice(0, 6), { delay: 25 });
  await until(page, (id) => Boolean(document.querySelector(`.track[data-id="${id}"]`)), wanted.id, "the track is not among the results");
  await page.screenshot({ path: `${out}/search.png` });
  return `${JSON.stringify(wanted.name.slice(0, 6))} in ${Date.now() - began} ms with the typing`;
});

await check("a press plays it, and the needle drop is shown", async () => {
  await page.locator(`.track[data-id="${wanted.id}"] .track-play`).first().click();
  await until(page, sounding, null, "no sound");
  await until(page, () => /^\d+$/.test(document.getElementById("needle-drop").textContent), null, "no needle drop");
  expect((await title(page)) === wanted.name, `another track plays: ${await title(page)}`);
  await until(page, () => document.getElementById("drop-about").textContent !== "from tap to sound", null, "no word of where it came from");
  const before = await position(page);
  await page.waitForTimeout(1200);
  expect((await position(page)) - before > 0.6, "the time stands still");
  const drop = Number(await page.textContent("#needle-drop"));
  expect(drop > 0 && drop < DROP_MS_MAX, `a needle drop of ${drop} ms`);
  expect(/(AAC|Ogg Vorbis), (96|160|320) kbit\/s/.test(await page.textContent("#rendition")), "no rendition is shown");
  return `${await page.textContent("#needle-drop")} ms, ${await page.textContent("#drop-about")}`;
});

await check("the lock screen knows what plays", async () => {
  const known = await page.evaluate(() => ({ title: navigator.mediaSession.metadata?.title, state: navigator.mediaSession.playbackState }));
  expect(known.title === wanted.name && known.state === "playing", JSON.stringify(known));
});

await check("a seek plays on from there, with one request at most", async () => {
  const ranges = await requestsForSound(page);
  const began = Date.now();
  const to = await seekTo(page, 0.5);
  await until(page, (at) => [...document.querySelectorAll("audio")].some((a) => !a.paused && !a.seeking && a.currentTime > at + 0.05 && a.currentTime < at + 6), to, "it does not play there");
  const took = Date.now() - began;
  await page.waitForTimeout(800);
  const at = await position(page);
  expect(at > to && at < to + 6, `it is at ${at} s after a seek to ${to} s`);
  expect(ranges.length <= 1, `the seek took ${ranges.length} requests: ${ranges}`);
  return `${took} ms with ${ranges.length} requests`;
});

await check("on a slow line a seek costs one request", async () => {
  const slow = await open();
  await enter(slow);
  const line = await slow.context().newCDPSession(slow);
  await line.send("Network.enable");
  await line.send("Network.emulateNetworkConditions", SLOW);
  const longest = await slow.evaluate(() => fetch("/v1/tracks?limit=50").then((r) => r.json()).then((said) => said.items.sort((a, b) => b.duration_ms - a.duration_ms)[0].id));
  await visit(slow, "#/tracks", `.track[data-id="${longest}"]`);
  await slow.selectOption("#quality", "320");
  await slow.locator(`.track[data-id="${longest}"] .track-play`).click();
  await until(slow, sounding, null, "no sound");
  await until(slow, () => /^\d+$/.test(document.getElementById("needle-drop").textContent), null, "no needle drop");
  expect(/320/.test(await slow.textContent("#rendition")), `it plays ${await slow.textContent("#rendition")}`);
  const ranges = await requestsForSound(slow);
  const waits = [];
  for (const share of [0.9, 0.5]) {
    const began = Date.now();
    const to = await seekTo(slow, share);
    await until(slow, (at) => [...document.querySelectorAll("audio")].some((a) => !a.paused && !a.seeking && a.currentTime > at + 0.05 && a.currentTime < at + 5), to, `nothing plays at ${share}`);
    waits.push(Date.now() - began);
  }
  const drop = await slow.textContent("#needle-drop");
  await slow.context().close();
  expect(ranges.length >= 1 && ranges.length <= 2, `two seeks took ${ranges.length} requests: ${ranges}`);
  return `needle drop ${drop} ms, two seeks: ${waits} ms, ${ranges}`;
});

await check("a phone's page works by keyboard", async () => {
  const phone = await open({ viewport: { width: 360, height: 740 } });
  await enter(phone);
  const total = await phone.evaluate(() => fetch("/v1/tracks?limit=50").then((r) => r.json()).then((said) => said.total));
  await visit(phone, "#/tracks", ".track-play");
  expect((await phone.locator(".tracks .track").count()) === Math.min(total, 50), "not every track is listed");
  await phone.locator(".track-play").first().focus();
  await phone.keyboard.press("Enter");
  await until(phone, sounding, null, "enter does not play");
  const first = await title(phone);
  await phone.evaluate(() => document.activeElement.blur());
  await phone.keyboard.press(" ");
  await until(phone, silent, null, "space does not pause");
  await phone.keyboard.press(" ");
  await until(phone, sounding, null, "space does not go on");
  const before = await position(phone);
  await phone.keyboard.press("ArrowRight");
  const jumped = (await position(phone)) - before;
  expect(jumped > 4, `the right arrow moved by ${jumped} s`);
  await phone.keyboard.press("n");
  await until(phone, (was) => document.getElementById("now-title").textContent !== was, first, "n stays on the track");
  await until(phone, sounding, null, "the next track is silent");
  const wide = await phone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  await phone.screenshot({ path: `${out}/phone-keyboard.png` });
  await phone.context().close();
  expect(wide <= 0, `the page is ${wide} px wider than a phone`);
});

await check("the keyboard plays, pauses, seeks and skips", async () => {
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press(" ");
  await until(page, silent, null, "space does not pause");
  await page.keyboard.press(" ");
  await until(page, sounding, null, "space does not play");
  const before = await position(page);
  await page.keyboard.press("ArrowLeft");
  await page.waitForTimeout(100);
  expect((await position(page)) < before - 3, "the left arrow does not go back");
  await visit(page, "#/albums", ".grid .card-name");
  const many = await page.evaluate(() => fetch("/v1/albums?limit=20").then((r) => r.json()).then((said) => said.items.find((a) => a.total_tracks > 3) ?? said.items[0]));
  await visit(page, `#/album/${many.id}`, ".album .track-play");
  await page.locator(".album .track-play").first().focus();
  await page.keyboard.press("Enter");
  await until(page, sounding, null, "enter on a row does not play");
  const first = await title(page);
  await page.keyboard.press("n");
  await until(page, (was) => document.getElementById("now-title").textContent !== was, first, "n stays on the track");
  await until(page, sounding, null, "the next track is silent");
  const second = await title(page);
  await page.keyboard.press("p");
  await until(page, (now) => document.getElementById("now-title").textContent === now, first, "p does not go back");
  await until(page, sounding);
  await page.screenshot({ path: `${out}/album.png` });
  return `${first} → ${second} → ${first}`;
});

await check("the queue takes a track from a row's menu, and can be put in order", async () => {
  await page.locator(".album .row-more").last().click();
  await page.getByRole("menuitem", { name: "Add to queue" }).click();
  await visit(page, "#/queue", ".in-queue");
  const rows = () => page.locator(".in-queue .line-1").allTextContents();
  const before = await rows();
  await page.locator('.in-queue [data-does="down"]').first().click();
  const after = await rows();
  expect(after[0] === before[1] && after[1] === before[0], `${before.slice(0, 3)} became ${after.slice(0, 3)}`);
  await page.locator('.in-queue [data-does="close"]').first().click();
  expect((await rows()).length === before.length - 1, "nothing was taken out");
  await page.screenshot({ path: `${out}/queue.png` });
  return `${before.length} tracks to come`;
});

await check("the next track follows without a gap", async () => {
  const before = await title(page);
  await page.waitForTimeout(1500); // The head of the next track is fetched while this one plays.
  await seekTo(page, 0.97);
  await until(page, (was) => document.getElementById("now-title").textContent !== was, before, "the next track does not come");
  await until(page, sounding);
  await until(page, () => document.querySelector(".drop-gap").textContent !== "", null, "the change of track was not on the spot");
  const words = await page.textContent(".drop-gap");
  const gap = Number(/(\d+) ms/.exec(words)?.[1] ?? 0);
  expect(gap <= GAP_MS_MAX, words);
  return words;
});

await check("the next track was fetched ahead when it is asked for", async () => {
  await page.waitForTimeout(2000);
  await page.keyboard.press("n");
  await until(page, sounding);
  await until(page, () => /ahead|other deck/.test(document.getElementById("drop-about").textContent), null, "it was not");
  return `${await page.textContent("#needle-drop")} ms, ${await page.textContent("#drop-about")}`;
});

await check("a refusal is said in words, and the next press plays", async () => {
  const refuse = (route) => route.fulfill({ status: 503, contentType: "application/problem+json", body: '{"type":"x","title":"The keys are on holiday","status":503}' });
  await page.route("**/v1/tracks/*/stream*", refuse);
  await visit(page, "#/tracks", ".track-play");
  await page.locator(".track-play").nth(3).click();
  await until(page, () => document.getElementById("toasts").textContent.includes("The keys are on holiday"), null, "nothing is said");
  await page.unroute("**/v1/tracks/*/stream*", refuse);
  trouble.console = trouble.console.filter((words) => !/503/.test(words));
  await page.locator("#play").click();
  await until(page, sounding, null, "it does not play afterwards");
});

await check("an expired URL is renewed at the same second", async () => {
  // Two URLs for one play that are signed in the same second are the same.
  await page.waitForTimeout(1100);
  const refused = new Set([await page.evaluate(() => [...document.querySelectorAll("audio")].find((a) => !a.paused).currentSrc)]);
  const refuse = (route) => (refused.has(route.request().url()) ? route.fulfill({ status: 403, contentType: "application/problem+json", body: '{"type":"expired","title":"This URL has expired","status":403}' }) : route.continue());
  await page.route("**/*", refuse);
  // What a seek after the expiry leads to, without waiting an hour: the same URL is loaded anew and refused.
  await page.evaluate(() => {
    const deck = [...document.querySelectorAll("audio")].find((a) => !a.paused);
    deck.src = `${deck.src}`;
    deck.currentTime = 5;
  });
  await until(page, (old) => [...document.querySelectorAll("audio")].some((a) => a.currentSrc && a.currentSrc !== old && !a.paused && a.readyState >= 3), [...refused][0], "no fresh URL plays");
  const at = await position(page);
  expect(at >= 4.5 && at < 12, `it goes on at ${at} s instead of 5`);
  await page.unroute("**/*", refuse);
  trouble.console = trouble.console.filter((words) => !/403/.test(words));
});

await check("a reload finds track, queue and second again", async () => {
  await page.waitForTimeout(2500);
  await page.keyboard.press(" ");
  await until(page, silent);
  const [was, at] = [await title(page), await page.textContent("#elapsed")];
  await page.reload();
  await until(page, (name) => document.getElementById("now-title")?.textContent === name, was, "another track, or none");
  await until(page, (time) => document.getElementById("elapsed").textContent === time, at, `not at ${at}`);
  await page.keyboard.press(" ");
  await until(page, sounding, null, "it does not go on");
  return `${was} at ${at}`;
});

await check("what was heard and what is queued reaches the server", async () => {
  const heard = told.plays.filter((play) => play.playback_id && play.intervals.length > 0 && play.intervals.every(([from, to]) => to > from));
  if (keeps.queue) expect(told.queues > 0, "the queue was never sent");
  expect(heard.length > 0, "no play was reported");
  expect(heard.some((play) => play.ended), "the play that ran to its end was not reported as such");
  expect(new Set(heard.map((play) => play.playback_id)).size > 1, "all plays have one id");
  return `${heard.length} plays, ${told.queues} queues`;
});

await check("a playlist is made, filled, emptied and deleted", async () => {
  if (!(await page.evaluate(() => fetch("/v1/me/playlists").then((r) => r.ok)))) return "this server has no playlists";
  const name = `Driven ${Date.now()}`;
  await visit(page, "#/tracks", ".row-more");
  const track = await page.locator(".tracks .line-1").first().textContent();
  await page.locator(".row-more").first().click();
  await page.getByRole("menuitem", { name: "Add to playlist…" }).click();
  await page.getByRole("menuitem", { name: "New playlist…" }).click();
  await page.fill("dialog input", name);
  await page.screenshot({ path: `${out}/dialog.png` });
  await page.keyboard.press("Enter");
  await page.waitForSelector(".playlist .track");
  expect((await page.textContent(".playlist h1")) === name, "the new playlist is not shown");
  expect((await page.locator(".playlist .line-1").first().textContent()) === track, "another track is in it");
  await page.screenshot({ path: `${out}/playlist.png` });
  await page.evaluate((q) => { location.hash = `#/search?q=${encodeURIComponent(q)}`; }, name);
  await page.locator("#main .card-name", { hasText: name }).first().click();
  await page.waitForSelector(".playlist .track");
  await page.locator(".playlist .row-more").first().click();
  await page.getByRole("menuitem", { name: "Take out of this playlist" }).click();
  await page.waitForSelector(".playlist .empty");
  await page.locator(".playlist .actions .round").click();
  await page.getByRole("menuitem", { name: "Delete…" }).click();
  await page.locator("dialog button[value=yes]").click();
  await until(page, () => location.hash === "#/playlists");
  await until(page, (gone) => ![...document.querySelectorAll("#main .card-name, #spine-playlists a")].some((a) => a.textContent === gone), name, "it is still listed");
});

await check("the turntable shows cover, arm and what comes next", async () => {
  await visit(page, "#/now", ".stage-close");
  await page.waitForTimeout(700);
  await page.screenshot({ path: `${out}/now.png` });
  await page.click(".stage-close");
  await until(page, () => document.documentElement.dataset.route !== "now");
});

// --- looks and manners -------------------------------------------------------------------------------------------------

const ROUTES = async (from) => {
  const first = await from.evaluate(async () => {
    const get = (path) => fetch(path).then((r) => (r.ok ? r.json() : null)).catch(() => null);
    const [albums, artists] = [await get("/v1/albums?limit=1"), await get("/v1/artists?limit=1")];
    return { album: albums?.items?.[0]?.id, artist: artists?.items?.[0]?.id };
  });
  return [["home", "#/"], ["albums", "#/albums"], ["tracks", "#/tracks"], ["search", "#/search?q=a"], ["queue", "#/queue"], ["settings", "#/settings"], ["playlists", "#/playlists"], ["now", "#/now"],
    ...(first.album ? [["album", `#/album/${first.album}`]] : []), ...(first.artist ? [["artist", `#/artist/${first.artist}`]] : [])];
};

for (const [name, width, height, colorScheme] of [["desktop-light", 1440, 900, "light"], ["desktop-dark", 1440, 900, "dark"], ["tablet-light", 1024, 768, "light"], ["phone-dark", 390, 844, "dark"], ["narrow-light", 360, 740, "light"]]) {
  await check(`${name}: every view fits, and is accessible`, async () => {
    const phone = width < 500;
    const view = await open({ viewport: { width, height }, colorScheme, reducedMotion: "reduce", hasTouch: phone, isMobile: phone });
    let axe = true;
    try {
      await view.addInitScript({ path: require.resolve("axe-core/axe.min.js") });
    } catch {
      axe = false;
    }
    await enter(view);
    await visit(view, "#/tracks", ".track-play");
    await view.locator(".track-play").first().click();
    await until(view, sounding);
    const found = [];
    for (const [route, hash] of await ROUTES(view)) {
      await view.evaluate((to) => (location.hash = to), hash);
      await view.waitForTimeout(400);
      await view.screenshot({ path: `${out}/${name}-${route}.png` });
      const wide = await view.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) found.push(`${route} is ${wide} px too wide`);
      const moving = await view.evaluate(() => document.getAnimations().filter((a) => a.playState === "running").length);
      if (moving) found.push(`${route}: ${moving} things move although motion is reduced`);
      if (!axe) continue;
      const violations = await view.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => `${v.id} ×${v.nodes.length}: ${v.nodes[0].target} ${v.nodes[0].any[0]?.message ?? ""}`)));
      found.push(...violations.map((v) => `${route}: ${v}`));
    }
    await view.context().close();
    expect(found.length === 0, found.slice(0, 6).join("; "));
    return axe ? "" : "axe-core is not installed, so only sizes were looked at";
  });
}

await check("signing out leads to the door", async () => {
  if (!(await page.evaluate(() => fetch("/v1/me").then((r) => r.ok)))) return "this server has no accounts";
  await page.click("#account");
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.waitForSelector("#user");
  await page.screenshot({ path: `${out}/door.png` });
  expect(await page.evaluate(silent), "the music goes on");
});

await check("no error in the console, no dialog, nothing asked of anyone else", async () => {
  expect(trouble.console.length === 0, `console: ${trouble.console.slice(0, 3).join("; ")}`);
  expect(trouble.dialogs.length === 0, `dialogs: ${trouble.dialogs}`);
  expect(trouble.outside.length === 0, `outside: ${trouble.outside.slice(0, 3)}`);
});

await browser.close();
console.log(failures ? `${failures} failed` : "all passed");
process.exit(failures ? 1 : 0);
