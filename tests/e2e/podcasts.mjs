// Podcasts in the web player, driven in Chromium: node podcasts.mjs BASE_URL FEED_URL OUTPUT_FOLDER
//
// Adds the feed (a show of two episodes of twenty seconds), plays it from another host than the page's, and sees that it
// goes on where it was left. Ends with a line that says what was seen; any failure is an exit code.

import { createRequire } from "node:module";

const require = createRequire(`${process.env.MODULES ?? process.cwd()}/`);
const { chromium } = require("playwright-core");

const [base, feed, out] = process.argv.slice(2);
if (!base || !feed || !out) throw new Error("usage: node podcasts.mjs BASE_URL FEED_URL OUTPUT_FOLDER");

const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--autoplay-policy=no-user-gesture-required", "--mute-audio"];
const WAIT_MS = 20_000;

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS });
const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
page.setDefaultTimeout(WAIT_MS);
const trouble = [];
// "Who am I?" may be answered 401, and an id of a kept queue is asked for as a track before it is an episode.
const expected = (url) => /\/v1\/me$|\/v1\/tracks\/\w{22}$/.test(url);
page.on("console", (m) => m.type() === "error" && !expected(m.location().url) && trouble.push(`${m.text()} ${m.location().url}`));
page.on("pageerror", (e) => trouble.push(String(e)));
const told = [];
page.on("request", (r) => r.method() === "PUT" && r.url().includes("/resume-point") && told.push(r.postDataJSON()));

function expect(condition, words) {
  if (!condition) throw new Error(words);
}

async function until(condition, arg, words) {
  const end = Date.now() + WAIT_MS;
  while (!(await page.evaluate(condition, arg))) {
    if (Date.now() > end) throw new Error(`waited in vain: ${words}; ${trouble.join(" | ")}`);
    await page.waitForTimeout(30);
  }
}

const at = () => page.evaluate(() => Math.max(0, ...[...document.querySelectorAll("audio")].map((a) => (a.paused ? 0 : a.currentTime))));
const playsFrom = (seconds) => until((from) => [...document.querySelectorAll("audio")].some((a) => !a.paused && a.readyState >= 2 && a.currentTime > from), seconds, `sound beyond ${seconds} s`);

await page.goto(base);
await page.waitForSelector("#user, #main .view, #main .empty");
if (await page.locator("#user").count()) await page.click(".door-form button");
await page.waitForSelector("#account span, #places a[aria-current]");
await page.waitForSelector("#user", { state: "detached" });
await page.evaluate(() => (location.hash = "#/podcasts"));
await page.click("#add-podcast");
await page.fill("dialog input", feed);
await page.click("dialog [type=submit]");
await page.waitForSelector("h1:has-text('Shown in the player')");
const names = await page.locator(".episode .track-play").allTextContents();
expect(names.join() === "The second,The first", `episodes: ${names}`);
await page.screenshot({ path: `${out}/show.png` });

await page.locator(".episode .track-play", { hasText: "The first" }).click();
await playsFrom(0);
const source = await page.evaluate(() => [...document.querySelectorAll("audio")].find((a) => !a.paused).currentSrc);
expect(new URL(source).origin === new URL(feed).origin && new URL(source).origin !== new URL(base).origin, `plays ${source}`);
await page.evaluate(() => {
  const seek = document.getElementById("seek");
  seek.value = "11";
  seek.dispatchEvent(new Event("change", { bubbles: true }));
});
await playsFrom(11.2);
const left = await at();
await page.click("#play");
await page.waitForTimeout(500);
expect(told.some((one) => one.resume_position_ms > 10_500 && !one.fully_played), `told: ${JSON.stringify(told)}`);

// Another visit, as on another device: nothing is kept in the browser.
await page.evaluate(() => localStorage.clear());
await page.evaluate(() => (location.hash = "#/podcasts"));
await page.reload();
await page.waitForSelector(".episode");
await page.screenshot({ path: `${out}/podcasts.png` });
await page.locator(".episode .track-play", { hasText: "The first" }).click();
await playsFrom(10.5);
const again = await at();
expect(Math.abs(again - left) < 3, `left at ${left}, goes on at ${again}`);

// To its end, which is told as well.
await page.evaluate(() => {
  const seek = document.getElementById("seek");
  seek.value = "19";
  seek.dispatchEvent(new Event("change", { bubbles: true }));
});
const end = Date.now() + WAIT_MS;
while (!told.some((one) => one.fully_played) && Date.now() < end) await page.waitForTimeout(50);
expect(told.some((one) => one.fully_played && one.resume_position_ms === 0), `the end was not told: ${JSON.stringify(told.slice(-3))}`);

await page.fill("#search", "shown in the");
await page.waitForSelector("a.card-name:has-text('Shown in the player')");
expect(trouble.length === 0, trouble.join(" | "));
await browser.close();
console.log(`added by its address, played from ${new URL(source).host}, left at ${left.toFixed(1)} s, went on at ${again.toFixed(1)} s`);
