// Who is invited and has not come yet: for administrators.

import * as api from "../api.js";
import { h } from "../dom.js";
import { askFor } from "../menu.js";
import { complain, say } from "../toast.js";
import { formOf } from "./door.js";
import { empty, heading, pill } from "./parts.js";

const PLANS = [["free", "Free"], ["premium", "Premium"]];
const DAYS = [[1, "One day"], [7, "Seven days"], [30, "30 days"], [90, "90 days"]];
const DAY_S = 86_400;
const NOTE_CHARS_MAX = 64;

/** @param {import("../main.js").App} app */
export async function invitations(app) {
  const known = (await api.get("/v1/invitations", { fresh: true })).items;
  const fresh = h("div", { class: "fresh", "aria-live": "polite" });
  const list = h("ul", { class: "invited", role: "list" }, known.map((one) => row(one)));
  const none = empty("Nobody is invited", "An invitation is a link that makes one account.");
  none.hidden = known.length > 0;
  const note = h("input", { id: "note", name: "note", type: "text", autocomplete: "off", maxlength: NOTE_CHARS_MAX, "aria-describedby": "note-help" });
  note.words = { label: "Whom it is for", help: "For this list only; may stay empty." };
  const form = formOf({
    fields: [note], yes: "Make an invitation", class: "own-form", id: "invite-trouble",
    submit: async () => {
      const chosen = (name) => form.querySelector(`[name=${name}]:checked`).value;
      const wish = { plan: chosen("plan"), note: note.value.trim() || null, expires_in: Number(chosen("days")) * DAY_S };
      const made = await api.post("/v1/invitations", wish);
      const link = new URL(made.link, location.origin).href;
      fresh.replaceChildren(shown(link));
      list.prepend(row(made));
      none.hidden = true;
      note.value = "";
    },
  }, choice("Plan", "plan", PLANS, "free"), choice("Good for", "days", DAYS, 7));
  form.setAttribute("aria-label", "Invite somebody");
  return h("div", { class: "view settings" }, heading("Invitations"),
    h("section", { class: "block" }, h("p", { class: "soft", text: "Whoever opens the link chooses a name and a password. It works once." }), form, fresh),
    h("section", { class: "block", "aria-label": "Not used yet" }, h("h2", { text: "Not used yet" }), list, none));
}

function choice(title, name, options, usual) {
  return h("fieldset", { class: "choice" }, h("legend", { text: title }),
    h("div", { class: "segments" }, options.map(([value, words]) => h("label", {}, h("input", { type: "radio", name, value, checked: value === usual }), h("span", { text: words })))));
}

/** The link, this once. */
function shown(link) {
  const text = h("input", { id: "invitation-link", type: "text", readonly: true, value: link, "aria-label": "The invitation's link", on: { focus: () => text.select() } });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(link);
      say("The link is copied.");
    } catch {
      // Over plain HTTP there is no clipboard for pages.
      text.focus();
      say("Copy the link that is selected.");
    }
  };
  return h("div", { class: "fresh-link" }, h("p", { text: "This link is shown once: whoever has it can make an account." }), text, pill("Copy the link", null, copy, { class: "quiet" }));
}

function row(one) {
  const until = new Date(one.expires * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  const name = one.note ?? "Somebody";
  const take = async () => {
    if (!(await askFor({ title: `Take back the invitation for ${name}?`, text: "Its link will be good for nothing.", yes: "Take back", danger: true }))) return;
    try {
      await api.remove(`/v1/invitations/${api.segment(one.id)}`);
      item.remove();
      say("The invitation is taken back.");
    } catch (error) {
      complain(error);
    }
  };
  const item = h("li", { data: { id: one.id } },
    h("span", { class: "two-lines" }, h("span", { class: "line-1", text: name }), h("span", { class: "line-2", text: `${one.plan} · until ${until} · by ${one.made_by}` })),
    h("button", { type: "button", class: "pill quiet", text: "Take back", "aria-label": `Take back the invitation for ${name}`, on: { click: take } }));
  return item;
}
