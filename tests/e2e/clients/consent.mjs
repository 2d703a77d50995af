// The browser that a program opens: reads who asks, signs in as a person does, and agrees. Node: consent.mjs URL.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_PATH}/`);
const { chromium } = require("playwright-core");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  const elsewhere = [];
  const here = new URL(process.argv[2]).origin;
  page.on("request", (request) => { if (!request.url().startsWith(here)) elsewhere.push(request.url()); });
  await page.goto(process.argv[2]);
  await page.fill("#user", process.env.ND_USER);
  await page.fill("#password", process.env.ND_PASSWORD);
  await page.click("button[type=submit]");
  await page.waitForSelector("#allow");
  if (process.env.ND_SHOT) await page.screenshot({ path: process.env.ND_SHOT });
  if (elsewhere.length) throw new Error(`the page asked elsewhere: ${elsewhere}`);
  await Promise.all([page.waitForURL(/127\.0\.0\.1:\d+\/callback/), page.click("#allow")]);
} finally {
  await browser.close();
}
