// Draining and purging: never with one press, and with the result in words.

import * as api from "/web/js/api.js";
import { h } from "/web/js/dom.js";
import { called } from "./lists.js";

const KINDS = {
  path: { words: "One object", example: "/tracks/ID/REV/160.ogg", hint: "The path of one rendition." },
  prefix: { words: "A folder", example: "/tracks/ID/", hint: "Everything below it; a slash at both ends. “/” is everything." },
  tag: { words: "A tag", example: "album-7", hint: "Everything that the origin gave this word in Cache-Tag." },
};

/** Opens a dialog that is gone once it is closed. */
function dialog(title, ...children) {
  const box = h("dialog", { class: "dialog ops-dialog", "aria-labelledby": "dialog-title" }, h("h2", { id: "dialog-title", tabindex: "-1", text: title }), ...children);
  const before = document.activeElement;
  box.addEventListener("close", () => {
    box.remove();
    before?.focus?.({ preventScroll: true });
  });
  document.body.append(box);
  box.showModal();
  return box;
}

const button = (text, kind, act, type = "button") => h("button", { type, class: `pill ${kind}`, text, on: act ? { click: act } : {} });

export class Acts {
  /** @param {{ edges: () => any[], after: () => void }} page */
  constructor(page) {
    this.page = page;
  }

  /** Drains an edge, or takes it back. */
  drain(edge) {
    const drain = edge.state !== "draining";
    const others = this.page.edges().filter((other) => other.name !== edge.name && other.state === "up");
    const near = others.filter((other) => (other.region ?? "") === (edge.region ?? ""));
    const where = edge.region ? `in ${edge.region}` : "in its region";
    const left = near.length ? `${near.length} other ${near.length === 1 ? "edge" : "edges"} ${where} ${near.length === 1 ? "is" : "are"} up.`
      : others.length ? `No other edge ${where} is up: its listeners go further.` : "No other edge is up: nobody will hear music until it is back.";
    const words = drain
      ? [h("p", { text: "New requests get 503, so that players ask another edge. What is playing runs on to the end of what it fetches." }), h("p", { class: near.length ? "" : "warning", text: left })]
      : [h("p", { text: "It takes requests again at once." })];
    this.confirm({
      title: `${drain ? "Drain" : "Take back"} ${edge.name}?`,
      words,
      typed: drain ? edge.name : null,
      yes: drain ? "Drain" : "Take requests again",
      act: () => api.post("/v1/ops/drain", { edge: edge.name, drain, confirm: edge.name }),
    });
  }

  /** Purges an object of the list, or what is asked for. */
  purge(object) {
    if (object) {
      const { name, sub } = called(object);
      return this.purgeOf("path", object.path, [h("p", {}, h("b", { text: name }), ` · ${sub}`)]);
    }
    const value = h("input", { id: "purge-value", type: "text", required: true, maxlength: "1024", spellcheck: "false", autocomplete: "off", autocapitalize: "none", "aria-describedby": "purge-hint", placeholder: KINDS.path.example });
    const hint = h("p", { class: "soft", id: "purge-hint", text: KINDS.path.hint });
    let by = "path";
    const choose = (event) => {
      by = event.target.value;
      value.placeholder = KINDS[by].example;
      hint.textContent = KINDS[by].hint;
    };
    const box = dialog("Purge", h("form", { method: "dialog", on: { submit: (event) => {
      event.preventDefault();
      box.close();
      this.purgeOf(by, value.value.trim(), []);
    } } },
      h("fieldset", { class: "by" }, h("legend", { class: "visually-hidden", text: "What to purge" }), Object.entries(KINDS).map(([kind, { words }]) => h("label", {}, h("input", { type: "radio", name: "purge-by", value: kind, checked: kind === by, on: { change: choose } }), h("span", { text: words })))),
      h("label", { for: "purge-value", text: "Which" }), value, hint,
      h("div", { class: "dialog-ends" }, button("Cancel", "quiet", () => box.close()), button("Go on…", "", null, "submit"))));
    value.focus();
  }

  purgeOf(by, value, words) {
    const one = by === "path";
    const count = this.page.edges().length;
    this.confirm({
      title: one ? "Purge this object?" : value === "/" && by === "prefix" ? "Purge everything?" : `Purge ${by === "tag" ? "the tag" : "the folder"} ${value}?`,
      words: [...words, one && h("p", {}, h("code", { text: value })), h("p", { text: `It goes from ${count === 1 ? "the edge" : `all ${count} edges`} at once. The next listener waits for the origin.` })],
      typed: one ? null : value,
      yes: "Purge",
      act: () => api.post("/v1/ops/purge", { by, value, confirm: value }),
    });
  }

  /** The second step: what is to be typed is typed, then it is done, then what came of it is told. */
  confirm({ title, words, typed, yes, act }) {
    const trouble = h("p", { class: "trouble", role: "alert" });
    const go = button(yes, "danger", null, "submit");
    const field = typed && h("input", { id: "confirm", type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "none", on: { input: () => { go.disabled = field.value !== typed; } } });
    go.disabled = Boolean(typed);
    const form = h("form", { method: "dialog", on: { submit: async (event) => {
      event.preventDefault();
      go.disabled = true;
      trouble.textContent = "";
      try {
        const report = await act();
        form.replaceWith(result(report, () => box.close()));
        const heading = box.querySelector("#dialog-title");
        heading.textContent = title.replace("?", "");
        heading.focus();
        this.page.after();
      } catch (error) {
        trouble.textContent = error.message;
        go.disabled = false;
      }
    } } }, h("div", { class: "dialog-words" }, words),
      field && h("label", { for: "confirm" }, "Type ", h("code", { text: typed }), " to confirm"), field, trouble,
      h("div", { class: "dialog-ends" }, button("Cancel", "quiet", () => box.close()), go));
    const box = dialog(title, form);
    (field || form.querySelector(".quiet")).focus();
  }
}

/** What came of it, edge by edge. */
function result(report, close) {
  const words = { done: "Done.", partly: "Done in part.", failed: "Not done." };
  return h("div", { class: "result", data: { outcome: report.outcome } },
    h("p", { role: "status" }, h("b", { text: words[report.outcome] ?? report.outcome }), ` ${report.words}`),
    report.edges.length > 1 && h("ul", { role: "list" }, report.edges.map((edge) => h("li", { data: { ok: String(edge.ok) } }, h("b", { text: edge.edge }), h("span", { text: edge.words })))),
    h("div", { class: "dialog-ends" }, button("Close", "", close)));
}
