// Settings of this device, the keys, and the account.

import { h } from "../dom.js";
import { KEYS } from "../keys.js";
import { set, settings as chosen } from "../settings.js";
import { changePassword, removeAccount } from "./account.js";
import { heading, pill } from "./parts.js";

const THEMES = [["system", "Like the system"], ["light", "Light"], ["dark", "Dark"]];
const QUALITIES = [["auto", "Auto"], ["96", "96 kbit/s"], ["160", "160 kbit/s"], ["320", "320 kbit/s"]];

/** @param {import("../main.js").App} app */
export async function settings(app) {
  const plan = app.me?.plan === "premium" ? "Premium" : app.me ? "Free" : "";
  return h("div", { class: "view settings" }, heading("Settings"),
    choice("Appearance", "theme", THEMES),
    choice("Quality", "quality", QUALITIES, "Auto looks at your connection."),
    h("section", { class: "block" }, h("h2", { text: "Loudness" }),
      h("label", { class: "switch" }, h("input", { type: "checkbox", role: "switch", checked: chosen.loudness, on: { change: (event) => set("loudness", event.target.checked) } }),
        h("span", {}, h("b", { text: "Even loudness" }), h("span", { class: "soft", text: "Louder tracks are turned down to −16 LUFS; none is turned up." })))),
    h("section", { class: "block keys-block" }, h("h2", { text: "Keys" }), h("dl", { class: "key-list" }, KEYS.map(([key, does]) => h("div", {}, h("dt", {}, h("kbd", { text: key })), h("dd", { text: does }))))),
    app.me && h("section", { class: "block" }, h("h2", { text: "Account" }), h("p", { text: [app.me.display_name, plan].filter(Boolean).join(" · ") }), h("p", {}, pill("Sign out", null, () => app.signOut(), { class: "quiet" }))),
    owns(app) && h("section", { class: "block" }, h("h2", { text: "Password" }), changePassword()),
    owns(app) && app.me.is_admin && h("section", { class: "block" }, h("h2", { text: "Invitations" }), h("p", { class: "soft", text: "Invite somebody with a link that makes one account." }), h("p", {}, h("a", { class: "pill quiet", href: "#/invitations", text: "Invitations" }))),
    owns(app) && h("section", { class: "block" }, h("h2", { text: "Leave" }), h("p", { class: "soft", text: "Removes this account and everything that belongs to it." }), h("p", {}, removeAccount(app))));
}

/** Whether somebody is signed in to an account of his own: the one to try the server with belongs to nobody. */
const owns = (app) => Boolean(app.me) && app.me.user !== "demo";

function choice(title, name, options, text) {
  return h("section", { class: "block" }, h("fieldset", { class: "choice" }, h("legend", { text: title }),
    h("div", { class: "segments" }, options.map(([value, words]) => h("label", {}, h("input", { type: "radio", name, value, checked: chosen[name] === value, on: { change: () => set(name, value) } }), h("span", { text: words })))),
    text && h("p", { class: "soft", text })));
}
