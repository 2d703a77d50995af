// Making an account, with an invitation from the address or where everybody may.

import * as api from "../api.js";
import { h } from "../dom.js";
import { door, field, newPassword } from "./door.js";
import { empty, pill } from "./parts.js";

/** What the server takes for a name, so that the browser can say it first. */
const NAME = "[0-9A-Za-z][0-9A-Za-z._@+\\-]{0,63}";

/** @param {import("../main.js").App} app @param {{ id: string }} route the invitation is its id */
export async function join(app, { id: invitation }) {
  const hint = await api.ask("/v1/session/hint").catch(() => null);
  const back = h("p", { class: "door-more" }, "You have an account? ", h("a", { href: "#/", id: "to-sign-in", text: "Sign in" }));
  if (!invitation && hint?.sign_up !== "open") {
    return door({ title: "By invitation", text: "Accounts on this server are by invitation: ask its administrator for a link.", fields: [], yes: "Sign in", submit: async () => app.go("#/") });
  }
  const user = field({ id: "user", label: "User name", autocomplete: "username", pattern: NAME, title: "Letters, digits and . _ @ + -, beginning with a letter or digit", help: "Letters, digits and . _ @ + -" });
  const [password, again] = newPassword();
  const submit = async () => {
    const said = await api.post("/v1/accounts", { user: user.value.trim(), password: password.value, invitation: invitation || null });
    // Used up: it need not stand in the history.
    history.replaceState(history.state, "", "#/");
    await app.signedIn(said.user);
  };
  return door({
    title: "Welcome",
    text: invitation ? "You are invited. Choose a name and a password." : "Choose a name and a password.",
    fields: [user, password, again],
    yes: "Make my account",
    submit,
    more: back,
  });
}

/** The same address for somebody who is signed in: his browser would make an account for somebody else. */
export async function alreadyIn(app) {
  return h("div", { class: "view" }, empty("You have an account", `You are signed in as ${app.me?.display_name ?? "somebody"}. To use an invitation, sign out first.`, pill("Sign out", null, () => app.signOut(), { class: "quiet" })));
}
