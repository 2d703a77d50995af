// One's own account: its password, and its end.

import * as api from "../api.js";
import { h } from "../dom.js";
import { askFor } from "../menu.js";
import { complain, say } from "../toast.js";
import { door, field, formOf, newPassword } from "./door.js";
import { pill } from "./parts.js";

const old = (label) => field({ id: "old-password", label, type: "password", autocomplete: "current-password" });

/** A form of the settings. */
export function changePassword() {
  const [now, [first, again]] = [old("Password until now"), newPassword("New password")];
  const form = formOf({
    fields: [now, first, again], yes: "Change the password", id: "password-trouble", class: "own-form",
    submit: async () => {
      await api.put("/v1/me/password", { old: now.value, new: first.value });
      form.reset();
      say("The password is changed. Other devices have to sign in again.");
    },
  });
  form.setAttribute("aria-label", "Change the password");
  return form;
}

/** The door for somebody whose password was made by the server: nothing else is allowed before it is changed. */
export function mustChange(app) {
  const [now, [first, again]] = [old("The password you were given"), newPassword("Your new password")];
  return door({
    title: "Your password",
    text: "The one that you signed in with was made for you. Choose one of your own.",
    fields: [now, first, again],
    yes: "Go on",
    submit: async () => {
      await api.put("/v1/me/password", { old: now.value, new: first.value });
      await app.signedIn();
    },
  });
}

/** Asks for the password once more, and removes the account for good. */
export function removeAccount(app) {
  return pill("Remove my account…", null, async () => {
    const password = await askFor({ title: "Remove your account?", text: "Playlists, stars and everything else of yours go for good. Type your password to confirm.", field: "Password", type: "password", yes: "Remove for good", danger: true, max: 1024 });
    if (!password) return;
    try {
      await app.plays?.settled(); // What was heard is told while the server still knows by whom.
      await api.remove("/v1/me", { password });
      app.gone();
    } catch (error) {
      complain(error);
    }
  }, { class: "quiet", id: "remove-account" });
}
