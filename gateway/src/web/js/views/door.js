// What stands at the door, whatever it asks for: the record, a form, and what went wrong in words.

import { h } from "../dom.js";

/** Longest password that the server takes, in characters. */
export const PASSWORD_CHARS_MAX = 1024;
/** Fewest characters of a new one. */
export const PASSWORD_CHARS_MIN = 8;

/**
 * A field with its label, which `formOf` puts before it, and perhaps a line below.
 * @param {{ id: string, label: string, type?: string, autocomplete: string, value?: string, minlength?: number, pattern?: string, title?: string, help?: string }} how
 */
export function field({ id, label, type = "text", autocomplete, value = "", minlength, pattern, title, help }) {
  const input = h("input", {
    id, name: id, type, autocomplete, autocapitalize: "none", spellcheck: "false", required: true, value, minlength, pattern, title,
    maxlength: type === "password" ? PASSWORD_CHARS_MAX : 200, "aria-describedby": help ? `${id}-help` : null,
  });
  input.words = { label, help };
  return input;
}

/** A new password, twice: what is not seen is easily mistyped. Gives both fields; the second one complains. */
export function newPassword(label = "Password") {
  const first = field({ id: "new-password", label, type: "password", autocomplete: "new-password", minlength: PASSWORD_CHARS_MIN, help: `At least ${PASSWORD_CHARS_MIN} characters. A short sentence is easy to keep.` });
  const again = field({ id: "new-password-again", label: "Once more", type: "password", autocomplete: "new-password" });
  const compare = () => again.setCustomValidity(first.value === again.value ? "" : "This is not the same password.");
  for (const input of [first, again]) input.addEventListener("input", compare);
  return [first, again];
}

/**
 * A form that says what went wrong, and cannot be sent twice at once.
 * @param {{ fields: any[], yes: string, submit: () => Promise<void>, id?: string, class?: string, big?: boolean }} how
 */
export function formOf({ fields, yes, submit, id = "trouble", class: name = "", big = false }, ...before) {
  const trouble = h("p", { class: "trouble", id, role: "alert" });
  const send = h("button", { type: "submit", class: big ? "pill big" : "pill", text: yes });
  const act = async (event) => {
    event.preventDefault();
    trouble.textContent = "";
    send.disabled = true;
    try {
      await submit();
    } catch (error) {
      trouble.textContent = error.message;
      fields.findLast((input) => input.type === "password")?.select();
    } finally {
      send.disabled = false;
    }
  };
  const rows = fields.flatMap((input) => [
    h("label", { for: input.id, text: input.words.label }), input,
    input.words.help && h("p", { class: "soft help", id: `${input.id}-help`, text: input.words.help }),
  ]);
  return h("form", { class: name, on: { submit: act } }, ...before, ...rows, trouble, send);
}

/** The whole door. */
export function door({ title, text, fields, yes, submit, more }) {
  const form = formOf({ fields, yes, submit, class: "door-form", big: true }, h("h1", { tabindex: "-1", text: title }), h("p", { class: "soft", text }));
  if (more) form.append(more);
  return h("div", { class: "door" },
    h("div", { class: "door-record", "aria-hidden": "true" }, h("div", { class: "record" }, h("div", { class: "grooves" }), h("div", { class: "label" }), h("div", { class: "sheen" }))),
    form);
}
