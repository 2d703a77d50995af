// Opens every view of the player over a library of hostile names, and prints one line of JSON about what came of it.
//
// node security.mjs BASE_URL OUTPUT_FOLDER; see check_security.py.

import { createRequire } from "node:module";

const require = createRequire(`${process.env.MODULES ?? process.cwd()}/`);
const { chromium } = require("playwright-core");

const [base, out] = process.argv.slice(2);
const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--mute-audio"];
/** A view has drawn itself by then. */
const DRAWN_MS = 150;

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS });
const said = { views: 0, rows: 0, pwned: 0, scripts: 0, foreign: 0, wide: [], dialogs: [], outside: [], policy: [] };

async function look(page) {
  await page.waitForTimeout(DRAWN_MS);
  const found = await page.evaluate(() => ({
    pwned: Number(window.pwned ?? 0),
    scripts: document.querySelectorAll("script").length,
    // What no view of ours makes: markup out of a name.
    foreign: document.querySelectorAll("main img:not(.art), main iframe, main object, main embed, main style, main link, main base, main [onerror], main [onload], main [onmouseover], a[href^='javascript:' i]").length,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    at: location.hash.slice(0, 60),
    rows: document.querySelectorAll("main .track").length,
  }));
  said.views += 1;
  said.pwned += found.pwned;
  said.scripts = Math.max(said.scripts, found.scripts);
  said.foreign += found.foreign;
  if (found.wide > 0) said.wide.push(`${found.wide} px: ${found.at}`);
  said.rows = Math.max(said.rows, found.rows);
}

async function main() {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("dialog", (d) => (said.dialogs.push(d.message()), d.dismiss()));
  page.on("console", (m) => /Content Security Policy/i.test(m.text()) && said.policy.push(m.text()));
  page.on("request", (r) => new URL(r.url()).origin !== new URL(base).origin && !/^(data|blob):/.test(r.url()) && said.outside.push(r.url()));
  await page.goto(base);
  await page.waitForSelector("#user");
  await page.click(".door-form button");
  await page.waitForSelector(".home");
  await look(page);
  await page.locator("#making summary").click();
  await look(page);
  await page.screenshot({ path: `${out}/home.png`, fullPage: true });
  const ids = await page.evaluate(async () => {
    const get = (path) => fetch(path).then((r) => r.json());
    const all = async (kind) => {
      const items = [];
      for (;;) {
        const list = await get(`/v1/${kind}?limit=50&offset=${items.length}`);
        items.push(...list.items);
        if (items.length >= list.total || list.items.length === 0) return items;
      }
    };
    const [albums, artists, tracks, lists] = [await all("albums"), await all("artists"), await all("tracks"), await all("me/playlists")];
    return { albums: albums.map((a) => a.id), artists: artists.map((a) => a.id), lists: lists.map((l) => l.id), names: tracks.map((t) => t.name) };
  });
  const views = ["#/tracks", "#/albums", "#/artists", "#/playlists", "#/queue", "#/now", "#/settings", ...ids.albums.map((id) => `#/album/${id}`), ...ids.artists.map((id) => `#/artist/${id}`), ...ids.lists.map((id) => `#/playlist/${id}`),
    ...ids.names.map((name) => `#/search?q=${encodeURIComponent(name.slice(0, 150))}`), "#/album/<img src=x onerror=window.pwned=1>", "#/search?q=<script>window.pwned=1</script>", "#/javascript:window.pwned=1"];
  for (const view of views) {
    await page.evaluate((to) => (location.hash = to), view);
    await look(page);
  }
  // Each is played as well: its name goes into the bar, the title, the lock screen and the queue.
  await page.evaluate(() => (location.hash = "#/tracks"));
  await page.waitForSelector(".tracks .track");
  await page.screenshot({ path: `${out}/tracks.png`, fullPage: true });
  const count = await page.locator(".tracks .track").count();
  for (let row = 0; row < count; row += 1) {
    const wanted = await page.locator(".tracks .track-play").nth(row).textContent();
    await page.locator(".tracks .track-play").nth(row).click();
    await look(page);
    const shown = await page.textContent("#now-title");
    if (shown !== wanted) throw new Error(`the bar shows ${JSON.stringify(shown.slice(0, 80))} for ${JSON.stringify(wanted.slice(0, 80))}`);
    await page.locator(".tracks .row-more").nth(row).click();
    await page.waitForSelector("[role=menuitem]");
    await look(page);
    await page.keyboard.press("Escape");
  }
}

try {
  await main();
} catch (error) {
  said.failure = error.message.split("\n").slice(0, 3).join(" ");
}
console.log(JSON.stringify(said));
await browser.close();
