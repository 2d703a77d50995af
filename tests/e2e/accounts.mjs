// Makes, changes and removes accounts in Chromium: node accounts.mjs PRIVATE_URL OPEN_URL OUTPUT_FOLDER
//
// PRIVATE_URL is a server by invitation whose administrator has PASSWORD, OPEN_URL one where anybody may come in. One line per
// check, "ok" or "FAILED". See check_accounts.py.

import fs from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.MODULES ?? process.cwd()}/`);
const { chromium } = require("playwright-core");

const [base, openBase, out] = process.argv.slice(2);
fs.mkdirSync(out, { recursive: true });
const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio"];
const WAIT_MS = 20_000;
const PASSWORD = "a sentence nobody guesses";
const BETTER = "another sentence of mine";
const LOOKS = [["desktop-light", 1440, 900, "light"], ["desktop-dark", 1440, 900, "dark"], ["phone-light", 390, 844, "light"], ["narrow-dark", 360, 740, "dark"]];

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS });
const trouble = { console: [], asked: [] };
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

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  // Refusals that are looked for are errors to Chromium.
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && !/\/v1\/(me|session|accounts|me\/password)$/.test(m.location().url) && trouble.console.push(`${m.text()} ${m.location().url}`));
  page.on("pageerror", (e) => trouble.console.push(String(e)));
  page.on("request", (r) => trouble.asked.push(`${r.url()} ${r.headers().referer ?? ""}`));
  return page;
}

async function until(page, condition, arg, words = "") {
  const end = Date.now() + WAIT_MS;
  while (!(await page.evaluate(condition, arg))) {
    if (Date.now() > end) throw new Error(`waited in vain: ${words || condition}`);
    await page.waitForTimeout(20);
  }
}

async function signIn(page, user, password, at = base) {
  await page.goto(at);
  await page.waitForSelector("#user");
  await page.fill("#user", user);
  await page.fill("#password", password);
  await page.click(".door-form [type=submit]");
}

async function fill(page, password, again = password) {
  await page.fill("#new-password", password);
  await page.fill("#new-password-again", again);
}

const words = (page) => page.locator("[role=alert]").first().textContent();
const me = (page) => page.evaluate(() => fetch("/v1/me").then((r) => (r.ok ? r.json() : null)));

/** Size, contrast, labels: in every colour and width. Gives what is wrong. */
async function looks(name, hash, storage, at = base, then = async () => {}) {
  const found = [];
  let known = false;
  for (const [look, width, height, colorScheme] of LOOKS) {
    const phone = width < 500;
    const view = await open({ viewport: { width, height }, colorScheme, reducedMotion: "reduce", hasTouch: phone, isMobile: phone, storageState: storage });
    let axe = true;
    try {
      await view.addInitScript({ path: require.resolve("axe-core/axe.min.js") });
    } catch {
      axe = false;
    }
    await view.goto(`${at}/${hash}`);
    await view.waitForSelector("h1");
    await then(view);
    await view.waitForTimeout(300);
    await view.screenshot({ path: `${out}/${name}-${look}.png`, fullPage: true });
    const wide = await view.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) found.push(`${look} is ${wide} px too wide`);
    const unnamed = await view.evaluate(() => [...document.querySelectorAll("main input")].filter((i) => !i.labels.length && !i.getAttribute("aria-label")).map((i) => i.id || i.name));
    if (unnamed.length) found.push(`${look}: fields without a name: ${unnamed}`);
    known = axe;
    const violations = !axe ? [] : await view.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => `${v.id} ×${v.nodes.length}: ${v.nodes[0].target}`)));
    found.push(...violations.map((v) => `${look}: ${v}`));
    await view.context().close();
  }
  expect(found.length === 0, found.slice(0, 5).join("; "));
  return known ? "" : "axe-core is not installed, so only sizes and names of fields were looked at";
}

// --- the administrator invites ----------------------------------------------------------------------------------------

const admin = await open();
let link = "";

await check("an administrator makes an invitation, and its link is shown once", async () => {
  await signIn(admin, "admin", process.env.PASSWORD);
  await admin.waitForSelector(".home");
  await admin.click("#account");
  await admin.getByRole("menuitem", { name: "Invitations" }).click();
  await admin.waitForSelector("#note");
  const before = await admin.locator(".invited li").count();
  await admin.fill("#note", "for <b>Grace</b>");
  await admin.getByText("Premium", { exact: true }).click();
  await admin.getByRole("button", { name: "Make an invitation" }).click();
  await admin.waitForSelector("#invitation-link");
  link = await admin.inputValue("#invitation-link");
  expect(new RegExp(`^${base}/#/join/ndi_[\\w-]{43}$`).test(link), `the link is ${link}`);
  expect((await admin.locator(".invited li").count()) === before + 1, "it is not listed");
  const row = await admin.locator(".invited li").first().textContent();
  expect(row.includes("for <b>Grace</b>") && row.includes("premium"), `the row says ${row}`);
  await admin.screenshot({ path: `${out}/invitations.png` });
  await admin.reload();
  await admin.waitForSelector("#note");
  expect(!(await admin.content()).includes(link.split("/").pop()), "the token is shown again");
});

await check("the list of invitations fits everywhere, and is accessible", async () => {
  const storage = await admin.context().storageState();
  return looks("invitations", "#/invitations", storage, base, async (view) => {
    await view.waitForSelector("#note");
    await view.getByRole("button", { name: "Make an invitation" }).click();
    await view.waitForSelector("#invitation-link");
  });
});

await check("invitations are taken back", async () => {
  await admin.reload();
  await admin.waitForSelector("#note");
  const count = () => admin.locator(".invited li").count();
  // Those of the looks: the newest, without a note.
  const before = await count();
  for (let n = 0; n < LOOKS.length; n += 1) {
    const rows = await count();
    await admin.getByRole("button", { name: "Take back the invitation for Somebody" }).first().click();
    await admin.locator("dialog button[value=yes]").click();
    await until(admin, (most) => document.querySelectorAll(".invited li").length < most, rows, "the row stays");
  }
  expect((await count()) === before - LOOKS.length, "another number of them is left");
});

// --- the invited -----------------------------------------------------------------------------------------------------------

const guest = await open();

await check("a private server says at its door that accounts are by invitation", async () => {
  await guest.goto(`${base}/#/join`);
  await guest.waitForSelector(".door-form");
  expect((await guest.locator("#new-password").count()) === 0, "it offers a form");
  expect((await guest.textContent(".door-form")).includes("by invitation"), "it does not say so");
  await guest.click(".door-form [type=submit]");
  await guest.waitForSelector("#password");
  expect((await guest.locator("#to-join").count()) === 0, "the door leads to a form that takes nobody");
});

await check("the form of an invitation fits everywhere, and is accessible", () => looks("join", `#/join/${link.split("/").pop()}`, undefined, base, (view) => view.waitForSelector("#new-password-again")));

await check("the form says what is wrong before and after it is sent", async () => {
  await guest.goto(link);
  await guest.waitForSelector("#new-password-again");
  expect((await guest.evaluate(() => document.activeElement.id)) === "user", "the keyboard is not in the first field");
  await guest.fill("#user", "grace");
  await fill(guest, PASSWORD, "something else");
  await guest.click(".door-form [type=submit]");
  expect(!(await guest.evaluate(() => document.querySelector(".door-form").checkValidity())), "two passwords are one");
  await fill(guest, "short");
  await guest.click(".door-form [type=submit]");
  expect(!(await guest.evaluate(() => document.querySelector(".door-form").checkValidity())), "a short password will do");
  await fill(guest, PASSWORD);
  await guest.fill("#user", "root");
  await guest.click(".door-form [type=submit]");
  await until(guest, () => document.querySelector("[role=alert]").textContent !== "", null, "nothing is said");
  expect((await words(guest)).includes("kept for the server"), `it says ${await words(guest)}`);
});

await check("whoever is invited makes an account by keyboard, and is at home", async () => {
  await guest.fill("#user", "Grace.Hopper");
  await guest.focus("#new-password-again");
  await guest.keyboard.press("Enter");
  await guest.waitForSelector(".home");
  const account = await me(guest);
  expect(account?.user === "grace.hopper" && account.plan === "premium", JSON.stringify(account));
  expect(!guest.url().includes("ndi_"), `the token stays in the address: ${guest.url()}`);
  const token = link.split("/").pop();
  expect(!trouble.asked.some((asked) => asked.includes(token)), "the token was sent in an address");
});

await check("an invitation that was used says so", async () => {
  const late = await open();
  await late.goto(link);
  await late.waitForSelector("#new-password-again");
  await late.fill("#user", "latecomer");
  await fill(late, PASSWORD);
  await late.click(".door-form [type=submit]");
  await until(late, () => document.querySelector("[role=alert]").textContent !== "", null, "nothing is said");
  expect((await words(late)).includes("invitation is not good"), `it says ${await words(late)}`);
  await late.context().close();
});

await check("who is signed in and opens a link is told so", async () => {
  await guest.goto(link);
  await until(guest, () => document.querySelector(".empty")?.textContent.includes("You have an account"), null, "nothing is said");
  expect((await me(guest))?.user === "grace.hopper", "the session has ended");
});

// --- one's own account --------------------------------------------------------------------------------------------------------

await check("a password is changed, and a mistyped one is no end of the session", async () => {
  await guest.goto(`${base}/#/settings`);
  await guest.waitForSelector("#old-password");
  await guest.fill("#old-password", "mistyped it");
  await fill(guest, BETTER);
  await guest.getByRole("button", { name: "Change the password" }).click();
  await until(guest, () => document.getElementById("password-trouble").textContent !== "", null, "nothing is said");
  expect(Boolean(await me(guest)) && (await guest.locator("#old-password").count()) === 1, "it leads to the door");
  await guest.fill("#old-password", PASSWORD);
  await guest.getByRole("button", { name: "Change the password" }).click();
  await until(guest, () => document.getElementById("toasts").textContent.includes("password is changed"), null, "nothing is said");
  expect((await guest.inputValue("#new-password")) === "", "it stays in the form");
  await guest.screenshot({ path: `${out}/settings.png`, fullPage: true });
  const other = await open();
  await signIn(other, "grace.hopper", BETTER);
  await other.waitForSelector(".home");
  await other.context().close();
});

await check("the settings fit everywhere, and are accessible", async () => {
  const storage = await guest.context().storageState();
  return looks("settings", "#/settings", storage, base, (view) => view.waitForSelector("#remove-account"));
});

await check("whose password was made for him changes it first", async () => {
  const given = await open();
  await given.route("**/v1/session", async (route) => {
    const response = await route.fetch();
    const said = await response.json();
    if (said.user) said.user.must_change_password = true;
    await route.fulfill({ response, json: said });
  });
  await signIn(given, "grace.hopper", BETTER);
  await given.waitForSelector("#old-password");
  expect((await given.textContent("h1")) === "Your password", "another form");
  await given.screenshot({ path: `${out}/must-change.png` });
  await given.fill("#old-password", BETTER);
  await fill(given, PASSWORD);
  await given.click(".door-form [type=submit]");
  await given.waitForSelector(".home");
  await given.context().close();
});

await check("an account is removed with its password, and the door is open", async () => {
  const leaver = await open();
  await signIn(leaver, "grace.hopper", PASSWORD);
  await leaver.waitForSelector(".home");
  await leaver.goto(`${base}/#/settings`);
  await leaver.waitForSelector("#remove-account");
  await leaver.click("#remove-account");
  await leaver.fill("dialog input", "mistyped it");
  await leaver.locator("dialog button[value=yes]").click();
  await until(leaver, () => document.getElementById("toasts").textContent.includes("wrong"), null, "nothing is said");
  expect(Boolean(await me(leaver)), "a mistyped password removes it");
  await leaver.click("#remove-account");
  await leaver.screenshot({ path: `${out}/remove.png` });
  await leaver.fill("dialog input", PASSWORD);
  await leaver.locator("dialog button[value=yes]").click();
  await leaver.waitForSelector("#password");
  expect(!(await me(leaver)), "the session goes on");
  await leaver.fill("#user", "grace.hopper");
  await leaver.fill("#password", PASSWORD);
  await leaver.click(".door-form [type=submit]");
  await until(leaver, () => document.querySelector("[role=alert]").textContent !== "", null, "it is still there");
  await leaver.context().close();
});

// --- where everybody may ------------------------------------------------------------------------------------------------------

await check("where everybody may come the door leads to the form and back", async () => {
  const visitor = await open();
  await visitor.goto(openBase);
  await visitor.waitForSelector("#to-join");
  await visitor.screenshot({ path: `${out}/open-door.png` });
  await visitor.click("#to-join");
  await visitor.waitForSelector("#new-password");
  await visitor.click("#to-sign-in");
  await visitor.waitForSelector("#password");
  await visitor.click("#to-join");
  await visitor.waitForSelector("#new-password");
  await visitor.fill("#user", "somebody.new");
  await fill(visitor, PASSWORD);
  await visitor.click(".door-form [type=submit]");
  await until(visitor, () => document.querySelector("[role=alert]").textContent !== "", null, "nothing is said");
  expect((await words(visitor)).includes("no room"), `a full server says ${await words(visitor)}`);
  await visitor.context().close();
});

await check("the demo account has no password to change", async () => {
  const demo = await open();
  await demo.goto(openBase);
  await demo.waitForSelector("#user");
  await demo.click(".door-form [type=submit]");
  await demo.waitForSelector(".home");
  await demo.goto(`${openBase}/#/settings`);
  await demo.waitForSelector(".settings");
  expect((await demo.locator("#old-password, #remove-account").count()) === 0, "it is offered");
  await demo.context().close();
});

await check("no error in the console", async () => {
  expect(trouble.console.length === 0, `console: ${trouble.console.slice(0, 3).join("; ")}`);
});

await browser.close();
console.log(failures ? `${failures} failed` : "all passed");
process.exit(failures ? 1 : 0);
