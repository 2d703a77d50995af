// The door: an administrator signs in, and changes a password that was printed once before he comes in.

import * as api from "/web/js/api.js";
import { h } from "/web/js/dom.js";

const field = (id, label, type, more = {}) => [h("label", { for: id, text: label }), h("input", { id, name: id, type, required: true, maxlength: "500", autocapitalize: "none", spellcheck: "false", ...more })];

function door(title, words, fields, yes, act) {
  const trouble = h("p", { class: "trouble", role: "alert" });
  const enter = h("button", { type: "submit", class: "pill big", text: yes });
  const submit = async (event) => {
    event.preventDefault();
    trouble.textContent = "";
    enter.disabled = true;
    try {
      await act(Object.fromEntries(new FormData(event.target)));
    } catch (error) {
      trouble.textContent = error.message;
      enter.disabled = false;
    }
  };
  return h("div", { class: "ops-door" }, h("form", { class: "card door-card", on: { submit } }, h("h1", { tabindex: "-1", text: title }), h("p", { class: "soft", text: words }), ...fields, trouble, enter));
}

/** @param {(user: any) => void} entered */
export function signIn(entered) {
  let password = "";
  const view = door("Operations", "Sign in as an administrator.",
    [...field("user", "User name", "text", { autocomplete: "username" }), ...field("password", "Password", "password", { autocomplete: "current-password" })], "Sign in",
    async (said) => {
      const { user } = await api.post("/v1/session", said);
      password = said.password;
      if (user.must_change_password) view.replaceWith(newPassword(user, password, entered));
      else entered(user);
    });
  return view;
}

/** @param {any} user @param {string} old what was just typed, or nothing */
export function newPassword(user, old, entered) {
  return door("A password of your own", "The one that was printed is good for this only. Choose another, of at least 8 characters.",
    [...(old ? [] : field("old", "Printed password", "password", { autocomplete: "current-password" })), ...field("new", "New password", "password", { autocomplete: "new-password", minlength: "8" })], "Change it and go on",
    async (said) => {
      await api.put("/v1/me/password", { old: old || said.old, new: said.new });
      // The session that changed it may be over: a new one is what the new password opens.
      const fresh = await api.post("/v1/session", { user: user.user, password: said.new });
      entered(fresh.user);
    });
}

/** Somebody who may not come in. */
export function notAllowed(user, leave) {
  return h("div", { class: "ops-door" }, h("div", { class: "card door-card" }, h("h1", { tabindex: "-1", text: "For administrators" }),
    h("p", { text: `You are signed in as ${user.display_name || user.user}, who may listen, but not operate.` }),
    h("div", { class: "dialog-ends" }, h("a", { class: "pill quiet", href: "/", text: "To the player" }), h("button", { type: "button", class: "pill", text: "Sign in as somebody else", on: { click: leave } }))));
}
