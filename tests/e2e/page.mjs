// Drives the page in Chromium and prints one line of JSON about what happened. See check_page.py.

import { createRequire } from "node:module";
const require = createRequire(`${process.env.MODULES}/`);
const { chromium } = require("playwright-core");

const { BASE, SHOTS, SCENARIO } = process.env;
const ARGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--mute-audio",
];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS });

const playing = () => [...document.querySelectorAll("audio")].some((a) => a.currentSrc && !a.paused && a.readyState >= 3 && a.currentTime > 0);
const ofDeck = (field) => [...document.querySelectorAll("audio")].filter((a) => a.currentSrc).map((a) => a[field])[0];

/** Waits for a condition. Playwright's own waitForFunction evaluates text in the page, which the page's policy forbids. */
async function until(page, condition, arg) {
  const end = Date.now() + 30_000;
  while (!(await page.evaluate(condition, arg))) {
    if (Date.now() > end) throw new Error(`waited in vain for ${condition}`);
    await page.waitForTimeout(10);
  }
}

async function open(options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const errors = [];
  const outside = [];
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && errors.push(m.text()));
  page.on("pageerror", (e) => errors.push(String(e)));
  page.on("request", (r) => !r.url().startsWith(BASE) && !/^(data|blob):/.test(r.url()) && outside.push(r.url()));
  return { page, errors, outside };
}

const time = (page) => page.evaluate(ofDeck, "currentTime");
const title = (page) => page.textContent("#now-title");

const scenarios = {
  async play() {
    const { page, errors, outside } = await open({ viewport: { width: 1280, height: 800 } });
    await page.goto(BASE);
    await page.waitForSelector(".track");
    const rows = await page.locator(".track").count();
    await page.screenshot({ path: `${SHOTS}/desktop-idle.png` });
    await page.locator(".track").nth(1).click();
    await until(page, playing);
    await until(page, () => /^\d+$/.test(document.getElementById("needle-drop").textContent));
    const drop_ms = Number(await page.textContent("#needle-drop"));
    const before = await time(page);
    await page.waitForTimeout(1500);
    const moved = (await time(page)) - before;
    const middle = await page.evaluate(() => Number(document.getElementById("seek").max) / 2);
    const src = await page.evaluate(ofDeck, "currentSrc");
    let seek_requests = 0;
    page.on("request", (r) => (seek_requests += r.url() === src));
    const began = Date.now();
    await page.evaluate((to) => {
      const seek = document.getElementById("seek");
      seek.value = String(to);
      seek.dispatchEvent(new Event("input", { bubbles: true }));
      seek.dispatchEvent(new Event("change", { bubbles: true }));
    }, middle);
    await until(page, (to) => [...document.querySelectorAll("audio")].some((a) => !a.paused && !a.seeking && a.currentTime > to + 0.05), middle);
    const seek_ms = Date.now() - began;
    await page.waitForTimeout(800);
    const after_seek = await time(page);
    await page.screenshot({ path: `${SHOTS}/desktop-playing.png` });
    const dark = await open({ viewport: { width: 390, height: 780 }, colorScheme: "dark" });
    await dark.page.goto(BASE);
    await dark.page.locator(".track").nth(0).click();
    await until(dark.page, playing);
    await dark.page.waitForTimeout(500);
    await dark.page.screenshot({ path: `${SHOTS}/phone-dark.png` });
    const codec = await page.textContent("#rendition");
    const about = await page.textContent("#drop-about");
    return { rows, drop_ms, moved, middle, seek_ms, seek_requests, after_seek, codec, about, errors: [...errors, ...dark.errors], outside: [...outside, ...dark.outside] };
  },

  async slow() {
    const { page } = await open();
    const line = await page.context().newCDPSession(page);
    await line.send("Network.enable");
    // 2.4 Mbit/s and 40 ms: too slow to have the whole track before the seek.
    await line.send("Network.emulateNetworkConditions", { offline: false, latency: 40, downloadThroughput: 300_000, uploadThroughput: 300_000 });
    await page.goto(BASE);
    await page.waitForSelector(".track");
    await page.selectOption("#quality", "320");
    await page.locator(".track", { hasText: "Song in ogg" }).click();
    await until(page, playing);
    await until(page, () => /^\d+$/.test(document.getElementById("needle-drop").textContent));
    const drop_ms = Number(await page.textContent("#needle-drop"));
    const src = await page.evaluate(ofDeck, "currentSrc");
    const ranges = [];
    page.on("request", (r) => r.url() === src && ranges.push(r.headers().range ?? "all"));
    const waits = [];
    for (const part of [0.9, 0.5]) {
      const began = Date.now();
      const to = await page.evaluate((share) => {
        const seek = document.getElementById("seek");
        seek.value = String(Number(seek.max) * share);
        seek.dispatchEvent(new Event("change", { bubbles: true }));
        return Number(seek.value);
      }, part);
      await until(page, (at) => [...document.querySelectorAll("audio")].some((a) => !a.paused && !a.seeking && a.currentTime > at + 0.05 && a.currentTime < at + 5), to);
      waits.push(Date.now() - began);
    }
    return { drop_ms, ranges, waits };
  },

  async keyboard() {
    const { page, errors } = await open({ viewport: { width: 360, height: 740 } });
    await page.goto(BASE);
    await page.waitForSelector(".track");
    await page.locator(".track").nth(0).focus();
    await page.keyboard.press("Enter");
    await until(page, playing);
    const played_by_enter = true;
    const first_title = await title(page);
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press(" ");
    await until(page, () => document.getElementById("bar").dataset.state === "paused");
    const paused_by_space = await page.evaluate(ofDeck, "paused");
    await page.keyboard.press(" ");
    await until(page, playing);
    const resumed_by_space = true;
    const before = await time(page);
    await page.keyboard.press("ArrowRight");
    const jumped = (await time(page)) - before;
    await page.keyboard.press("n");
    await until(page, (was) => document.getElementById("now-title").textContent !== was, first_title);
    await until(page, playing);
    const next_title = await title(page);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
    return { played_by_enter, paused_by_space, resumed_by_space, jumped, first_title, next_title, overflow, errors };
  },

  async expiry() {
    const { page } = await open();
    let grants = 0;
    let expired = false;
    await page.route("**/v1/tracks/*/stream*", async (route) => {
      grants += 1;
      await route.continue();
    });
    // The edge's own refusal, as after the end of the URL's life; only for URLs granted before that.
    const old = new Set();
    await page.route(/\/tracks\/[^/]+\/[^/]+\/\d+\.(ogg|m4a)/, async (route) => {
      const url = route.request().url();
      if (!expired) old.add(url);
      if (expired && old.has(url)) return route.fulfill({ status: 403, contentType: "application/problem+json", body: '{"type":"expired","title":"This URL has expired","status":403}' });
      return route.continue();
    });
    await page.goto(BASE);
    await page.locator(".track").nth(0).click();
    await until(page, playing);
    await page.waitForTimeout(1200);
    const first = grants;
    expired = true;
    const before = await page.evaluate(() => {
      const deck = [...document.querySelectorAll("audio")].find((a) => a.currentSrc);
      deck.currentTime = 5;
      // What a seek after the expiry leads to, without waiting an hour: the same URL is loaded anew and refused.
      const src = deck.src;
      deck.src = src;
      deck.currentTime = 5;
      return 5;
    });
    await until(page, (n) => performance.getEntriesByType("resource").filter((e) => e.name.includes("/stream")).length > n, first);
    await until(page, playing);
    return { grants, before, after: await time(page) };
  },

  async refusal() {
    const { page } = await open();
    await page.route("**/v1/tracks/*/stream*", (route) =>
      route.fulfill({ status: 503, contentType: "application/problem+json", body: '{"type":"x","title":"The keys are on holiday","status":503}' }));
    await page.goto(BASE);
    await page.locator(".track").nth(0).click();
    await until(page, () => document.getElementById("notice").textContent !== "");
    return { notice: await page.textContent("#notice") };
  },
};

let said;
try {
  said = await scenarios[SCENARIO]();
} catch (error) {
  said = { failure: `${SCENARIO}: ${error.message.split("\n").slice(0, 3).join(" ")}` };
}
console.log(JSON.stringify(said));
await browser.close();
