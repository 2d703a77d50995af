// Menus and questions: a list of commands at a button, and a dialog that asks for a name or a yes.

import { h } from "./dom.js";
import { icon } from "./icons.js";

/** @typedef {{ label: string, icon?: string, act?: () => void, href?: string, checked?: boolean, danger?: boolean } | "line"} Entry */

let opened = null;

/** Opens a menu at a button; a second press closes it. @param {HTMLElement} button @param {Entry[]} entries */
export function openMenu(button, entries, label = "Commands") {
  const again = opened?.button === button;
  close();
  if (again) return;
  const menu = h("div", { class: "menu", role: "menu", "aria-label": label, popover: "manual" }, entries.map((entry) => (entry === "line" ? h("hr", { role: "separator" }) : item(entry))));
  document.body.append(menu);
  menu.showPopover();
  place(menu, button);
  button.setAttribute("aria-expanded", "true");
  const outside = (event) => !menu.contains(event.target) && !button.contains(event.target) && close();
  document.addEventListener("pointerdown", outside, true);
  addEventListener("resize", close);
  addEventListener("hashchange", close);
  menu.addEventListener("keydown", (event) => steer(event, menu));
  opened = { button, menu, outside };
  menu.querySelector("[role^=menuitem]").focus({ preventScroll: true });
}

function item(entry) {
  const role = entry.checked === undefined ? "menuitem" : "menuitemradio";
  const inside = [entry.icon ? icon(entry.icon) : entry.checked ? icon("check") : h("span", { class: "icon" }), h("span", { text: entry.label })];
  const common = { role, tabindex: "-1", class: entry.danger ? "danger" : "", "aria-checked": entry.checked === undefined ? null : String(entry.checked) };
  if (entry.href) return h("a", { ...common, href: entry.href, on: { click: () => close() } }, inside);
  return h("button", { ...common, type: "button", on: { click: () => (close(), entry.act()) } }, inside);
}

function close() {
  if (!opened) return;
  const { button, menu, outside } = opened;
  opened = null;
  document.removeEventListener("pointerdown", outside, true);
  removeEventListener("resize", close);
  removeEventListener("hashchange", close);
  const inside = menu.contains(document.activeElement);
  menu.remove();
  button.removeAttribute("aria-expanded");
  if (inside) button.focus({ preventScroll: true });
}

/** Below the button, or above where there is no room, and never over the edge of the window. */
function place(menu, button) {
  const at = button.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const top = at.bottom + height + 12 > innerHeight && at.top - height - 6 > 8 ? at.top - height - 6 : at.bottom + 6;
  menu.style.top = `${Math.max(8, Math.min(top, innerHeight - height - 8))}px`;
  menu.style.left = `${Math.max(8, Math.min(at.right - width, innerWidth - width - 8))}px`;
}

function steer(event, menu) {
  const all = [...menu.querySelectorAll("[role^=menuitem]")];
  const at = all.indexOf(document.activeElement);
  const goes = { ArrowDown: (at + 1) % all.length, ArrowUp: (at - 1 + all.length) % all.length, Home: 0, End: all.length - 1 };
  if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    return close();
  }
  if (!(event.key in goes)) return;
  event.preventDefault();
  all[goes[event.key]].focus();
}

/** Asks in a dialog; gives the form's first field, true where there is none, or null if the answer is no. */
export function askFor({ title, text = "", field, type = "text", value = "", yes = "OK", danger = false, max = 100 }) {
  return new Promise((answer) => {
    const input = field && h("input", { type, name: "value", value, required: true, maxlength: String(max), autocomplete: type === "password" ? "current-password" : "off", "aria-label": field });
    const form = h("form", { method: "dialog" },
      h("h2", { text: title }),
      text && h("p", { text }),
      input,
      h("div", { class: "dialog-ends" },
        h("button", { type: "button", class: "pill quiet", text: "Cancel", on: { click: () => dialog.close("") } }),
        h("button", { type: "submit", class: danger ? "pill danger" : "pill", value: "yes", text: yes })));
    const dialog = h("dialog", { class: "dialog", "aria-label": title }, form);
    dialog.addEventListener("close", () => {
      const agreed = dialog.returnValue === "yes";
      dialog.remove();
      answer(agreed ? (input ? (type === "password" ? input.value : input.value.trim()) || null : true) : null);
    });
    document.body.append(dialog);
    dialog.showModal();
    input?.select();
  });
}
