// Somebody else's program asks to use this account: who it is, what it wants, where the answer goes, yes or no.
// The session's cookie is for this site alone (SameSite=Strict), so it is this page that asks and agrees, not a form.

import * as api from "./api.js";
import { $, h } from "./dom.js";

const query = location.search.slice(1);
const card = $("ask");

function show(...children) {
  card.replaceChildren(...children);
  card.querySelector("input, button")?.focus();
}

const trouble = () => h("p", { class: "trouble", role: "alert" });

function signIn() {
  const user = h("input", { id: "user", type: "text", autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true, maxlength: "200" });
  const password = h("input", { id: "password", type: "password", autocomplete: "current-password", required: true, maxlength: "500" });
  const why = trouble();
  const submit = async (event) => {
    event.preventDefault();
    why.textContent = "";
    try {
      await api.post("/v1/session", { user: user.value, password: password.value });
      await ask();
    } catch (error) {
      why.textContent = error.message;
      password.select();
    }
  };
  show(h("h1", { text: "Sign in to needledrop" }), h("p", { class: "soft", text: "A program wants to use your account. First, who are you?" }),
    h("form", { on: { submit } }, h("label", { for: "user", text: "User name" }), user, h("label", { for: "password", text: "Password" }), password, why,
      h("button", { type: "submit", class: "pill big", text: "Sign in" })));
}

async function say(allow, why) {
  for (const button of card.querySelectorAll("button")) button.disabled = true;
  try {
    const { redirect } = await api.post("/oauth/consent", { query, allow });
    location.replace(redirect);
  } catch (error) {
    why.textContent = error.message;
    for (const button of card.querySelectorAll("button")) button.disabled = false;
  }
}

async function another() {
  await api.remove("/v1/session").catch(() => null);
  signIn();
}

async function ask() {
  const wanted = await api.ask(`/oauth/consent?${query}`).catch((error) => error);
  if (wanted instanceof api.Refused && wanted.status === 401) return signIn();
  if (wanted instanceof Error) {
    const other = h("button", { type: "button", class: "pill quiet", id: "another", text: "Use another account", on: { click: another } });
    return show(h("h1", { text: "This cannot be allowed" }), h("p", { text: wanted.message }), h("div", { class: "ask-ends" }, wanted.status === 403 && other));
  }
  const why = trouble();
  return show(h("p", { class: "soft", text: `Signed in as ${wanted.user}` }), h("h1", { text: `Let ${wanted.app} in?` }), h("p", { text: "It will be able to:" }),
    h("ul", {}, wanted.means.map((text) => h("li", { text }))),
    h("p", { class: "soft place", text: `The answer goes to ${wanted.place}. Your password does not. You can end this at any time.` }), why,
    h("div", { class: "ask-ends" },
      h("button", { type: "button", class: "pill quiet", id: "another", text: "Not you?", on: { click: another } }),
      h("button", { type: "button", class: "pill quiet", id: "deny", text: "No", on: { click: () => say(false, why) } }),
      h("button", { type: "button", class: "pill", id: "allow", text: "Allow", on: { click: () => say(true, why) } })));
}

ask();
