// Opens a report on a phone and on a desk and prints one line of JSON about it. See check_loadtest.py.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
const require = createRequire(`${process.env.MODULES}/`);
const { chromium } = require("playwright-core");

const { PAGE, NAME, SHOTS } = process.env;
const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS });
const own = pathToFileURL(PAGE).href;

try {
  const errors = [];
  const requests = [];
  const look = async (kind, options) => {
    const page = await (await browser.newContext(options)).newPage();
    page.on("console", (m) => m.type() === "error" && errors.push(m.text()));
    page.on("pageerror", (e) => errors.push(String(e)));
    page.on("request", (r) => r.url() !== own && !r.url().startsWith("data:") && requests.push(r.url()));
    await page.goto(own);
    await page.screenshot({ path: `${SHOTS}/${NAME}-${kind}.png`, fullPage: true });
    return page;
  };
  const phone = await look("phone", { viewport: { width: 360, height: 740 } });
  const wide = await phone.evaluate(() => document.documentElement.scrollWidth);
  const desk = await look("desk", { viewport: { width: 1280, height: 900 }, colorScheme: "dark" });
  const plots = await desk.locator("svg").count();
  const headings = await desk.locator("h1, h2").count();
  console.log(JSON.stringify({ errors, requests, wide, plots, headings }));
} catch (error) {
  console.log(JSON.stringify({ failure: String(error) }));
} finally {
  await browser.close();
}
