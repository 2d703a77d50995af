// The door: user name and password, and one click where the server has an account to try it with.

import * as api from "../api.js";
import { h } from "../dom.js";

/** @param {import("../main.js").App} app */
export async function signin(app) {
  const hint = await api.ask("/v1/session/hint").catch(() => null);
  const demo = hint?.demo;
  const user = h("input", { id: "user", name: "user", type: "text", autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true, maxlength: "200", value: demo?.user ?? "" });
  const password = h("input", { id: "password", name: "password", type: "password", autocomplete: "current-password", required: true, maxlength: "500", value: demo?.password ?? "" });
  const trouble = h("p", { class: "trouble", id: "trouble", role: "alert" });
  const enter = h("button", { type: "submit", class: "pill big", text: demo ? "Drop the needle" : "Sign in" });
  const submit = async (event) => {
    event.preventDefault();
    trouble.textContent = "";
    enter.disabled = true;
    try {
      const said = await api.post("/v1/session", { user: user.value, password: password.value });
      await app.signedIn(said.user);
    } catch (error) {
      trouble.textContent = error.message;
      enter.disabled = false;
      password.select();
    }
  };
  return h("div", { class: "door" },
    h("div", { class: "door-record", "aria-hidden": "true" }, h("div", { class: "record" }, h("div", { class: "grooves" }), h("div", { class: "label" }), h("div", { class: "sheen" }))),
    h("form", { class: "door-form", on: { submit } },
      h("h1", { tabindex: "-1", text: "needledrop" }),
      h("p", { class: "soft", text: demo ? "This server has an account to try it with. It is filled in." : "Your music, from tap to sound in an instant." }),
      h("label", { for: "user", text: "User name" }), user,
      h("label", { for: "password", text: "Password" }), password,
      trouble, enter));
}
