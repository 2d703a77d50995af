// Watches the player while music is taken in, and prints one line of JSON about what it showed.
//
// node making.mjs OUTPUT_FOLDER; see check_ingest.py. The browser is started before there is anything to see, since its
// first start can take longer than all the work: `ready` is printed then, and the player's address read from standard input.

import { createRequire } from "node:module";
import { createInterface } from "node:readline/promises";

const require = createRequire(`${process.env.MODULES ?? process.cwd()}/`);
const { chromium } = require("playwright-core");

const [out] = process.argv.slice(2);
const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio"];
const LIMIT_MS = 220_000;

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS });
const said = { headlines: [], reading: [], values: [], failures: "", cards: 0, errors: [] };
const add = (list, value) => value !== null && value !== undefined && list.at(-1) !== value && list.push(value);

async function main() {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  await page.goto("about:blank");
  console.log("ready");
  const lines = createInterface({ input: process.stdin });
  const base = await lines[Symbol.asyncIterator]().next().then(({ value }) => value);
  lines.close();
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && !/\/v1\/me$/.test(m.location().url) && said.errors.push(m.text()));
  page.on("pageerror", (e) => said.errors.push(String(e)));
  await page.goto(base);
  await page.waitForSelector("#user");
  await page.click(".door-form button");
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    const seen = await page.evaluate(() => {
      const making = document.getElementById("making");
      const bar = making?.querySelector("progress:not([hidden])");
      return {
        headline: making?.querySelector("h2").textContent ?? null,
        reading: making?.querySelector(".making-now:not([hidden])")?.textContent ?? null,
        value: bar?.hasAttribute("value") ? bar.value : null,
        failures: making?.querySelector(".making-failures")?.textContent ?? "",
        cards: document.querySelectorAll("main .card, main .track").length,
      };
    });
    add(said.headlines, seen.headline);
    add(said.reading, seen.reading);
    add(said.values, seen.value);
    Object.assign(said, { failures: seen.failures, cards: seen.cards });
    if (said.values.length === 2) await page.screenshot({ path: `${out}/in-the-middle.png` });
    if (/added|could be taken in/.test(seen.headline ?? "") && seen.cards > 0) break;
    if (Date.now() > end) throw new Error(`it shows ${JSON.stringify(seen)} for ever`);
    await page.waitForTimeout(100);
  }
  await page.locator("#making summary").click();
  await page.screenshot({ path: `${out}/done.png` });
}

try {
  await main();
} catch (error) {
  said.failure = error.message.split("\n").slice(0, 3).join(" ");
}
console.log(JSON.stringify(said));
await browser.close();
