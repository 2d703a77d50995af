// Drives the operator page in Chromium: node ops.mjs BASE_URL OUTPUT_FOLDER
//
// One line per check, "ok" or "FAILED", and a non-zero exit if one failed. Screenshots are kept in the folder.
// playwright-core, and axe-core if it is there, are taken from the folder named by MODULES. USER and PASSWORD are an
// administrator's; EDGE_PID is the process of the edge `sin-1`, which is killed in the end. Both edges have traffic.

import fs from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.MODULES ?? process.cwd()}/`);
const { chromium } = require("playwright-core");

const [base, out] = process.argv.slice(2);
if (!base || !out) throw new Error("usage: node ops.mjs BASE_URL OUTPUT_FOLDER");
fs.mkdirSync(out, { recursive: true });

const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const WAIT_MS = 20_000;
/** The question that is asked again and again. */
const OVERVIEW = /\/v1\/ops\?/;

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
async function until(page, condition, arg, words = "", limit = WAIT_MS) {
  const end = Date.now() + limit;
  while (!(await page.evaluate(condition, arg))) {
    if (Date.now() > end) throw new Error(`waited in vain: ${words || condition}`);
    await page.waitForTimeout(50);
  }
}

let session = null;

async function open(options = {}, known = session) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, storageState: known ?? undefined, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  // The first question, "who am I?", may be answered 401; Chromium notes that as an error of its own.
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && !/\/v1\/me$/.test(m.location().url) && trouble.console.push(`${m.text()} ${m.location().url}`));
  page.on("pageerror", (e) => trouble.console.push(String(e)));
  page.on("dialog", (d) => (trouble.dialogs.push(d.message()), d.dismiss()));
  page.on("request", (r) => new URL(r.url()).origin !== origin && !/^(data|blob):/.test(r.url()) && trouble.outside.push(r.url()));
  return page;
}

const stateOf = (name) => [...document.querySelectorAll(".edges tbody tr")].find((row) => row.querySelector(".edge-cell b")?.textContent === name)?.dataset.state;
const is = (page, name, state, limit) => until(page, ([edge, wanted]) => [...document.querySelectorAll(".edges tbody tr")].some((row) => row.querySelector(".edge-cell b")?.textContent === edge && row.dataset.state === wanted), [name, state], `${name} is ${state}`, limit);
const act = (page, name) => page.locator(".edges tbody tr", { has: page.locator(`b:text-is("${name}")`) }).locator(".act").click();

const page = await open();

await check("a stranger meets a door, and a wrong password opens nothing", async () => {
  await page.goto(`${base}/ops`);
  await page.waitForSelector("#user");
  await page.screenshot({ path: `${out}/door.png` });
  await page.fill("#user", process.env.USER);
  await page.fill("#password", "wrong");
  await page.click(".door-card [type=submit]");
  await until(page, () => document.querySelector(".trouble").textContent !== "", null, "no word about it");
  trouble.console = trouble.console.filter((words) => !/\/v1\/session/.test(words));
});

await check("an administrator comes in", async () => {
  await page.fill("#password", process.env.PASSWORD);
  await page.click(".door-card [type=submit]");
  await page.waitForSelector(".edges tbody tr");
  session = await page.context().storageState();
});

await check("the listener is told that this is not for him", async () => {
  const view = await open({}, { cookies: [], origins: [] });
  await view.goto(`${base}/ops`);
  await view.waitForSelector("#user");
  await view.fill("#user", "demo");
  await view.fill("#password", "demo");
  await view.click(".door-card [type=submit]");
  await until(view, () => document.querySelector("h1")?.textContent === "For administrators", null, "he comes in");
  expect((await view.evaluate(() => fetch("/v1/ops").then((r) => r.status))) === 403, "the call answers him");
  trouble.console = trouble.console.filter((words) => !/403/.test(words));
  await view.context().close();
});

await check("a first password is changed on the way in", async () => {
  const view = await open({}, { cookies: [], origins: [] });
  const asked = [];
  await view.route("**/v1/session", (route) => route.fulfill({ json: { user: { user: "admin", is_admin: true, must_change_password: asked.length === 0 } } }));
  await view.route("**/v1/me/password", (route) => (asked.push(route.request().postDataJSON()), route.fulfill({ status: 204, body: "" })));
  await view.route("**/v1/ops*", (route) => route.fulfill({ status: 503, json: { title: "Later" } }));
  await view.route("**/v1/ops/audit*", (route) => route.fulfill({ json: { items: [], more_before: null } }));
  await view.goto(`${base}/ops`);
  await view.fill("#user", "admin");
  await view.fill("#password", "printed-once");
  await view.click(".door-card [type=submit]");
  await view.fill("#new", "one of my own");
  await view.screenshot({ path: `${out}/password.png` });
  await view.click(".door-card [type=submit]");
  await view.waitForSelector(".board");
  expect(asked.length === 1 && asked[0].old === "printed-once" && asked[0].new === "one of my own", JSON.stringify(asked));
  trouble.console = trouble.console.filter((words) => !/503/.test(words));
  await view.context().close();
});

await check("both edges are up, each in its region", async () => {
  await is(page, "needledrop", "up");
  await is(page, "sin-1", "up");
  const regions = await page.locator(".edge-cell .sub").allTextContents();
  expect(regions.some((words) => words.includes("fra")) && regions.some((words) => words.includes("sin")), regions.join());
  expect((await page.locator("text=/\\d+ days/").count()) > 0, "no word about the certificate");
});

await check("real traffic is shown", async () => {
  await until(page, () => parseFloat(document.getElementById("now-requests").textContent) > 0, null, "no request", 40_000);
  await until(page, () => /\d %/.test(document.getElementById("now-hit").textContent), null, "no hit ratio");
  await until(page, () => /bit\/s/.test(document.getElementById("now-sent").textContent), null, "nothing sent");
  await until(page, () => document.querySelectorAll(".top-row").length > 0, null, "nothing is wanted");
  const name = await page.locator(".top-row b").first().textContent();
  expect(!name.endsWith(".ogg"), `the object has no name: ${name}`);
  await until(page, () => document.querySelector(".error-list summary")?.textContent.includes("not signed"), null, "the refusals are not listed");
  return `${await page.textContent("#now-requests")}, ${await page.textContent("#now-hit")} from cache, ${name}`;
});

await check("the plots can be read without seeing them", async () => {
  const label = await page.locator("svg.plot").nth(2).getAttribute("aria-label");
  expect(/Requests over time; at last All [\d.]+\/s/.test(label), label);
  const table = page.locator(".plot-table").nth(2);
  await table.locator("summary").click();
  await page.locator('.by input[value="protocols"]').first().check({ force: true });
  await until(page, () => document.querySelector(".legend-name").textContent === "HTTP/1.1", null, "not by protocol");
  await until(page, () => document.querySelectorAll(".plot-table tbody")[2].rows.length > 1, null, "the table is empty");
  await table.locator("summary").click();
  await page.locator('.by input[value="classes"]').first().check({ force: true });
  return label;
});

await check("it asks every few seconds, and not while hidden or paused", async () => {
  let asked = 0;
  const count = (request) => OVERVIEW.test(request.url()) && (asked += 1);
  page.on("request", count);
  await page.waitForTimeout(11_000);
  expect(asked >= 2, `${asked} questions in 11 s`);
  const hide = (hidden) => page.evaluate((is) => {
    Object.defineProperty(document, "hidden", { value: is, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await hide(true);
  await page.waitForTimeout(300);
  asked = 0;
  await page.waitForTimeout(7_000);
  expect(asked === 0, `${asked} questions while hidden`);
  await hide(false);
  await page.waitForTimeout(500);
  expect(asked === 1, `${asked} questions on coming back`);
  await page.click("#live");
  expect((await page.getAttribute("#live", "aria-pressed")) === "false", "the button does not say so");
  await page.waitForTimeout(300);
  asked = 0;
  await page.waitForTimeout(6_000);
  expect(asked === 0, `${asked} questions while paused`);
  await page.click("#live");
  page.off("request", count);
});

await check("an object is purged in two steps, and the list says who did", async () => {
  await page.locator(".top-row .act").first().click();
  await page.waitForSelector("dialog[open]");
  await page.screenshot({ path: `${out}/purge.png` });
  await page.locator("dialog .danger").click();
  await until(page, () => document.querySelector("dialog .result")?.textContent.includes("Done."), null, "no result");
  await page.screenshot({ path: `${out}/purged.png` });
  await page.locator("dialog .result .pill").click();
  await until(page, () => !document.querySelector("dialog"), null, "the dialog stays");
  await until(page, () => /admin purged path/.test(document.querySelector(".audit li")?.textContent ?? ""), null, "it is not in the list");
  return page.locator(".audit .sub").first().textContent();
});

await check("a folder is purged only when it is typed again", async () => {
  await page.click("#purge");
  await page.locator('dialog input[value="prefix"]').check({ force: true });
  await page.fill("#purge-value", "/nowhere/");
  await page.locator("dialog [type=submit]").click();
  await page.waitForSelector("#confirm");
  expect(await page.locator("dialog .danger").isDisabled(), "it can be done at once");
  await page.fill("#confirm", "/nowhere");
  expect(await page.locator("dialog .danger").isDisabled(), "something like it is enough");
  await page.fill("#confirm", "/nowhere/");
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelector("dialog .result")?.textContent.includes("Done."), null, "no result");
  await page.keyboard.press("Escape");
});

await check("an edge is drained by its name, and taken back", async () => {
  await act(page, "sin-1");
  await page.waitForSelector("#confirm");
  await page.screenshot({ path: `${out}/drain.png` });
  expect((await page.textContent("dialog .warning")).includes("No other edge in sin"), "no word about who is left");
  await page.fill("#confirm", "sin-1");
  await page.locator("dialog .danger").click();
  await until(page, () => document.querySelector("dialog .result")?.textContent.includes("drains"), null, "no result");
  await page.locator("dialog .result .pill").click();
  await is(page, "sin-1", "draining");
  await page.screenshot({ path: `${out}/draining.png` });
  await act(page, "sin-1");
  await page.locator("dialog .danger").click();
  await until(page, () => document.querySelector("dialog .result"), null, "no result");
  await page.locator("dialog .result .pill").click();
  await is(page, "sin-1", "up");
});

// --- looks and manners -------------------------------------------------------------------------------------------------

const LOOKS = [["desktop-light", 1440, 900, "light"], ["desktop-dark", 1440, 900, "dark"], ["tablet-light", 1024, 768, "light"], ["phone-dark", 390, 844, "dark"], ["narrow-light", 360, 740, "light"]];

async function look(name, width, height, colorScheme, prepare) {
  const phone = width < 500;
  const view = await open({ viewport: { width, height }, colorScheme, reducedMotion: "reduce", hasTouch: phone, isMobile: phone });
  let axe = true;
  try {
    await view.addInitScript({ path: require.resolve("axe-core/axe.min.js") });
  } catch {
    axe = false;
  }
  await prepare?.(view);
  await view.goto(`${base}/ops`);
  await view.waitForSelector(".edges tbody tr");
  await view.waitForTimeout(300);
  const summary = view.locator(".error-list summary").first();
  if (await summary.count()) await summary.click();
  await view.evaluate(() => (document.activeElement?.blur(), scrollTo(0, 0)));
  await view.screenshot({ path: `${out}/${name}.png`, fullPage: true });
  const found = [];
  const wide = await view.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) found.push(`${wide} px too wide`);
  const moving = await view.evaluate(() => document.getAnimations().filter((a) => a.playState === "running").length);
  if (moving) found.push(`${moving} things move although motion is reduced`);
  if (axe) found.push(...await view.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => `${v.id} ×${v.nodes.length}: ${v.nodes[0].target} ${v.nodes[0].any[0]?.message ?? ""}`))));
  const extra = await prepare?.after?.(view);
  await view.context().close();
  expect(found.length === 0, found.slice(0, 5).join("; "));
  return [axe ? "" : "axe-core is not installed, so only sizes were looked at", extra].filter(Boolean).join("; ");
}

for (const [name, ...how] of LOOKS) {
  await check(`${name}: it fits, and is accessible`, () => look(name, ...how));
}

/** The first start: no look yet, nothing counted. */
function emptied(said) {
  const clear = (value) => (Array.isArray(value) ? value.map(() => null) : typeof value === "object" && value ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, clear(inner)])) : value);
  const edges = said.edges.slice(0, 1).map((edge) => ({ name: edge.name, region: null, built_in: true, state: "unknown", since: null, heard: null, trouble: null, rates: null }));
  return { ...said, edges, totals: { ...said.totals, edges: 1, up: 0, connections: 0, cache: null, rates: null }, series: clear(said.series), top: { since: null, requests: 0, objects: [] }, errors: [] };
}

/** Two hundred edges in five regions, some in trouble. */
function crowded(said) {
  const regions = ["ams", "fra", "gru", "iad", "sin"];
  const edges = Array.from({ length: 200 }, (_, n) => ({ ...said.edges[0], built_in: false, name: `${regions[n % 5]}-${1 + Math.floor(n / 5)}`, region: regions[n % 5], state: n % 50 === 7 ? "unreachable" : n % 40 === 3 ? "draining" : "up", trouble: n % 50 === 7 ? "cannot connect: tcp connect error: Connection refused (os error 111)" : null }));
  return { ...said, edges };
}

/** Shows a changed answer: the one that the server gives now, so that a look that is closed leaves nothing under way. */
const changed = (change) => async (view) => {
  const said = await page.evaluate(() => fetch("/v1/ops?range=30m&of=all").then((response) => response.json()));
  await view.route(OVERVIEW, (route) => route.fulfill({ json: change(said) }));
};

await check("a first start without any number is a page, too", () => look("empty-light", 1440, 900, "light", changed(emptied)));

await check("two hundred edges are shown, a dozen at first, the troubled ones before the others", async () => {
  const prepare = changed(crowded);
  prepare.after = async (view) => {
    const rows = () => view.locator(".edges tbody tr").count();
    expect((await rows()) === 12, `${await rows()} rows at first`);
    expect((await view.locator(".edges tbody tr").first().getAttribute("data-state")) === "unreachable", "trouble is not first");
    const began = Date.now();
    await view.locator(".edges > .pill").click();
    expect((await rows()) === 200, `${await rows()} rows in all`);
    const took = Date.now() - began;
    await view.fill(".edges input", "gru");
    expect((await rows()) === 40, `${await rows()} rows of gru`);
    return `all of them in ${took} ms`;
  };
  return look("crowd-dark", 1440, 900, "dark", prepare);
});

await check("when the server is gone the page says so and keeps what it knows", async () => {
  await page.route(OVERVIEW, (route) => route.abort());
  await until(page, () => document.querySelector(".notice:not([hidden])")?.textContent.includes("cannot be reached"), null, "no word about it");
  expect((await page.locator(".edges tbody tr").count()) === 2, "the edges are gone");
  await page.unroute(OVERVIEW);
  trouble.console = trouble.console.filter((words) => !/ERR_FAILED/.test(words));
  await until(page, () => document.querySelector(".notice").hidden, null, "it does not come back", 30_000);
});

await check("an edge that is killed is unreachable within seconds, and said so aloud", async () => {
  await is(page, "sin-1", "up", 30_000);
  process.kill(Number(process.env.EDGE_PID), "SIGKILL");
  const began = Date.now();
  await is(page, "sin-1", "unreachable", 30_000);
  const seconds = Math.round((Date.now() - began) / 1000);
  expect((await page.textContent("#news")).includes("sin-1: Unreachable"), "nothing is said");
  expect((await page.evaluate(stateOf, "needledrop")) === "up", "the other one went as well");
  await page.screenshot({ path: `${out}/unreachable.png` });
  return `after ${seconds} s`;
});

await check("signing out leads to the door", async () => {
  await page.click("#leave");
  await page.waitForSelector("#user");
  expect((await page.evaluate(() => fetch("/v1/ops").then((r) => r.status))) === 401, "the session goes on");
  trouble.console = trouble.console.filter((words) => !/401/.test(words));
});

await check("no error in the console, no dialog, nothing asked of anyone else", async () => {
  expect(trouble.console.length === 0, `console: ${trouble.console.slice(0, 3).join("; ")}`);
  expect(trouble.dialogs.length === 0, `dialogs: ${trouble.dialogs}`);
  expect(trouble.outside.length === 0, `outside: ${trouble.outside.slice(0, 3)}`);
});

await browser.close();
console.log(failures ? `${failures} failed` : "all passed");
process.exit(failures ? 1 : 0);
