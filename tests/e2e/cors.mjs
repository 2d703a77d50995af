// What pages of other origins can do in a real browser: call with a token of their own, and nothing with the cookie.
// Run by check_api.py: node cors.mjs http://localhost:PORT; TOKEN is an API key.

import { createRequire } from "node:module";
import { createServer } from "node:http";

const { chromium } = createRequire(`${process.env.MODULES}/`)("playwright-core");
const base = process.argv[2];
const token = process.env.TOKEN;
let failures = 0;

function say(what, holds, seen) {
  if (!holds) failures += 1;
  console.log(`${holds ? "ok" : "FAILED"} ${what}${holds ? "" : `: ${JSON.stringify(seen)}`}`);
}

/** An empty page of another origin. */
async function elsewhere(host) {
  const server = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<!doctype html><title>elsewhere</title>"));
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { url: `http://${host}:${server.address().port}/`, close: () => server.close() };
}

/** What a page sees of a call: its status, some fields and its text, or that the browser let it see nothing. */
const call = (page, path, options) =>
  page.evaluate(
    async ([url, said]) => {
      const answer = await fetch(url, said).catch(() => null);
      if (!answer) return "nothing";
      const fields = Object.fromEntries(["etag", "link", "retry-after"].map((name) => [name, answer.headers.get(name)]));
      return { status: answer.status, type: answer.type, text: await answer.text(), ...fields };
    },
    [base + path, options],
  );

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const context = await browser.newContext();
const own = await context.newPage();
await own.goto(base);
const json = { "Content-Type": "application/json" };
const signIn = { method: "POST", headers: { ...json, "X-Requested-With": "x" }, body: JSON.stringify({ user: "demo", password: "demo" }) };
const signed = await call(own, "/v1/session", signIn);
say("the player's own page signs in", signed.status === 200, signed);
const mine = () => call(own, "/v1/me", {});
say("and its cookie opens calls", (await mine()).status === 200, await mine());

// The first is of the same site (a port is no part of it), so that SameSite alone would send the cookie along.
for (const [kind, host] of [["same site", "localhost"], ["cross site", "127.0.0.1"]]) {
  const other = await elsewhere(host);
  const page = await context.newPage();
  await page.goto(other.url);
  const bearer = await call(page, "/v1/tracks?limit=2", { headers: { Authorization: `Bearer ${token}` } });
  say(`${kind}: a token opens calls, and fields can be read`, bearer.status === 200 && bearer.etag && bearer.link, bearer);
  const body = JSON.stringify({ items: [], changed: 1 });
  const put = await call(page, "/v1/me/queue", { method: "PUT", headers: { ...json, Authorization: `Bearer ${token}` }, body });
  say(`${kind}: a token changes things after a preflight`, put.status === 200, put);
  const refused = await call(page, "/v1/nothing", {});
  say(`${kind}: refusals can be read`, refused.status === 404 && refused.text.includes("problem"), refused);
  for (const [what, options] of [
    ["reads", {}],
    ["changes", { method: "PUT", headers: { ...json, "X-Requested-With": "x" }, body }],
    ["signs out", { method: "DELETE", headers: { "X-Requested-With": "x" } }],
  ]) {
    const path = what === "reads" ? "/v1/me" : what === "changes" ? "/v1/me/queue" : "/v1/session";
    const seen = await call(page, path, { ...options, credentials: "include" });
    say(`${kind}: nobody ${what} with the cookie`, seen === "nothing", seen);
  }
  // Requests that need no preflight reach us, and must do nothing to the queue, which may have been set before.
  const blind = { method: "POST", mode: "no-cors", credentials: "include", headers: { "Content-Type": "text/plain" } };
  await call(page, "/v1/me/queue", { ...blind, body: JSON.stringify({ items: ["a".repeat(22)], changed: 2 }) });
  const queue = JSON.parse((await call(own, "/v1/me/queue", {})).text);
  say(`${kind}: a blind POST changes nothing`, !queue.items.includes("a".repeat(22)) && queue.changed !== 2, queue);
  await page.setContent(`<form method="post" enctype="text/plain" action="${base}/v1/session"><input name='{"user":"demo","password":"demo","x":"' value='"}'></form>`);
  const [answer] = await Promise.all([page.waitForNavigation(), page.evaluate(() => document.forms[0].submit())]);
  say(`${kind}: a form signs nobody in`, answer.status() === 415 && !answer.headers()["set-cookie"], answer.status());
  await page.close();
  other.close();
}
say("after all that the player is still signed in", (await mine()).status === 200, await mine());
await browser.close();
process.exit(failures ? 1 : 0);
