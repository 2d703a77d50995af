// The door: user name and password, and one click where the server has an account to try it with.

import * as api from "../api.js";
import { h } from "../dom.js";
import { door, field } from "./door.js";

/** @param {import("../main.js").App} app */
export async function signin(app) {
  const hint = await api.ask("/v1/session/hint").catch(() => null);
  const demo = hint?.demo;
  const user = field({ id: "user", label: "User name", autocomplete: "username", value: demo?.user });
  const password = field({ id: "password", label: "Password", type: "password", autocomplete: "current-password", value: demo?.password });
  const submit = async () => {
    const said = await api.post("/v1/session", { user: user.value, password: password.value });
    await app.signedIn(said.user);
  };
  return door({
    title: "needledrop",
    text: demo ? "This server has an account to try it with. It is filled in." : "Your music, from tap to sound in an instant.",
    fields: [user, password],
    yes: demo ? "Drop the needle" : "Sign in",
    submit,
    more: hint?.sign_up === "open" && h("p", { class: "door-more" }, "No account yet? ", h("a", { href: "#/join", id: "to-join", text: "Make one" })),
  });
}
