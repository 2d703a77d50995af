// Lines over time as SVG, each with a legend that tells the last value (or the one that is pointed at) and a table of all.

import { h, setText } from "/web/js/dom.js";
import { clock } from "./units.js";

const SPACE = "http://www.w3.org/2000/svg";
const HEIGHT = 190;
const TOP = 10;
const FOOT = 24;
const SIDE = 74;
/** Rows of the table: every slot would be too many to hear. */
const ROWS_MAX = 30;

function s(tag, attributes, ...children) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** A round number at or above the largest value, so that the axis does not move all the time. */
function ceiling(most, least) {
  const wanted = Math.max(most, least);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= wanted * 0.999) ?? wanted;
}

/**
 * One plot.
 * @param {{ title: string, about: string, format: (n: number) => string, top?: number, least?: number, choice?: Record<string, string> }} how
 */
export class Plot {
  constructor(how) {
    this.how = how;
    this.at = null;
    this.legend = h("ul", { class: "legend", role: "list" });
    this.svg = s("svg", { class: "plot", role: "img", height: HEIGHT });
    this.table = h("tbody");
    this.heads = h("tr");
    this.when = h("span", { class: "plot-when" });
    this.empty = h("p", { class: "plot-empty", text: "Nothing to show yet." });
    const id = `plot-${how.title.toLowerCase().replaceAll(/\W+/g, "-")}`;
    this.element = h("section", { class: "card plot-card", "aria-labelledby": id },
      h("header", { class: "card-head" }, h("h2", { id, text: how.title }), this.choice(), this.when),
      h("p", { class: "card-about", text: how.about }),
      this.legend,
      h("div", { class: "plot-box" }, this.svg, this.empty),
      h("details", { class: "plot-table" }, h("summary", { text: "As a table" }),
        h("div", { class: "plot-scroll", tabindex: "0", role: "region", "aria-label": `${how.title}, table` },
          h("table", {}, h("caption", { class: "visually-hidden", text: how.title }), h("thead", {}, this.heads), this.table))));
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.data && this.paint()).observe(this.svg.parentElement);
  }

  /** One of several groupings, where there are some. */
  choice() {
    const { choice, title } = this.how;
    if (!choice) return null;
    this.chosen = Object.keys(choice)[0];
    const name = `by-${title.toLowerCase().replaceAll(/\W+/g, "-")}`;
    const change = (event) => {
      this.chosen = event.target.value;
      if (this.series) this.draw(this.series);
    };
    return h("fieldset", { class: "by" }, h("legend", { class: "visually-hidden", text: `${title} by` }),
      Object.entries(choice).map(([value, words]) => h("label", {}, h("input", { type: "radio", name, value, checked: value === this.chosen, on: { change } }), h("span", { text: words }))));
  }

  /** Shows the columns of an answer. */
  draw(series) {
    this.series = series;
    this.data = { lines: this.how.lines(series, this.chosen), from: series.from, step: series.step_s };
    this.paint();
    this.tell();
    // A table that nobody has opened is not written anew every few seconds.
    if (this.table.closest("details").open || !this.table.firstChild) this.list();
  }

  paint() {
    const { lines, from, step } = this.data;
    const width = Math.max(240, this.svg.parentElement.clientWidth);
    const slots = lines[0].values.length;
    const all = lines.flatMap((line) => line.values).filter((value) => value !== null);
    const top = this.how.top ?? ceiling(Math.max(0, ...all), this.how.least ?? 1);
    const x = (slot) => SIDE + (slot / Math.max(1, slots - 1)) * (width - SIDE - 8);
    const y = (value) => TOP + (1 - Math.min(1, value / top)) * (HEIGHT - TOP - FOOT);
    this.scale = { x, slots, width };
    this.empty.hidden = all.length > 0;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const parts = [];
    for (const share of all.length ? [0, 0.5, 1] : [0, 1]) {
      parts.push(s("line", { class: "plot-grid", x1: SIDE, x2: width - 8, y1: y(top * share), y2: y(top * share) }));
      parts.push(s("text", { class: "plot-mark", x: SIDE - 10, y: y(top * share) + 4, "text-anchor": "end" }, this.how.format(top * share)));
    }
    const marks = width > 520 ? 5 : 3;
    for (let mark = 0; mark < marks; mark += 1) {
      const slot = Math.round((mark / (marks - 1)) * (slots - 1));
      const anchor = mark === 0 ? "start" : mark === marks - 1 ? "end" : "middle";
      parts.push(s("text", { class: "plot-mark", x: x(slot), y: HEIGHT - 5, "text-anchor": anchor }, clock(from + slot * step)));
    }
    lines.forEach((line, place) => {
      const path = trace(line.values, x, y);
      if (line.area && path) parts.push(s("path", { class: `plot-area line-${place}`, d: fill(line.values, x, y) }));
      parts.push(s("path", { class: `plot-line line-${place}`, d: path || "M0 0" }));
    });
    if (this.at !== null && this.at < slots) {
      parts.push(s("line", { class: "plot-at", x1: x(this.at), x2: x(this.at), y1: TOP, y2: HEIGHT - FOOT }));
      lines.forEach((line, place) => line.values[this.at] !== null && parts.push(s("circle", { class: `plot-dot line-${place}`, cx: x(this.at), cy: y(line.values[this.at]), r: 4 })));
    }
    this.svg.replaceChildren(...parts);
  }

  /** The legend: each line with its value. */
  tell() {
    const { lines, from, step } = this.data;
    const values = lines.map((line) => this.at === null ? last(line.values) : line.values[this.at] ?? null);
    if (this.legend.children.length !== lines.length || this.legend.dataset.by !== (this.chosen ?? "")) {
      this.legend.dataset.by = this.chosen ?? "";
      this.legend.replaceChildren(...lines.map((line, place) => {
        const swatch = s("svg", { class: "swatch", viewBox: "0 0 26 8", "aria-hidden": "true" }, s("path", { class: `plot-line line-${place}`, d: "M1 4H25" }));
        return h("li", {}, swatch, h("span", { class: "legend-name", text: line.name }), h("b", {}));
      }));
    }
    values.forEach((value, place) => setText(this.legend.children[place].querySelector("b"), this.how.format(value)));
    setText(this.when, this.at === null ? "" : `at ${clock(from + this.at * step)}`);
    const words = lines.map((line, place) => `${line.name} ${this.how.format(values[place])}`).join(", ");
    this.svg.setAttribute("aria-label", `${this.how.title} over time; at last ${words}`);
  }

  list() {
    const { lines, from, step } = this.data;
    this.heads.replaceChildren(h("th", { scope: "col", text: "Time" }), ...lines.map((line) => h("th", { scope: "col", text: line.name })));
    const seen = lines[0].values.map((_, slot) => slot).filter((slot) => lines.some((line) => line.values[slot] !== null)).slice(-ROWS_MAX).reverse();
    const time = (slot) => new Date((from + slot * step) * 1000).toLocaleTimeString("en-GB");
    this.table.replaceChildren(...seen.map((slot) => h("tr", {}, h("th", { scope: "row", text: time(slot) }), ...lines.map((line) => h("td", { text: this.how.format(line.values[slot]) })))));
  }

  point(event) {
    if (!this.scale) return;
    const before = this.at;
    if (event === null) this.at = null;
    else {
      const inside = event.offsetX * (this.scale.width / this.svg.clientWidth);
      const share = (inside - SIDE) / (this.scale.width - SIDE - 8);
      this.at = Math.min(this.scale.slots - 1, Math.max(0, Math.round(share * (this.scale.slots - 1))));
    }
    if (this.at === before) return;
    this.paint();
    this.tell();
  }
}

/** The last value that is known; the newest slot may be empty for a moment. */
const last = (values) => values.findLast((value) => value !== null) ?? null;

/** A path over what is known; a gap stays a gap, and a point by itself becomes a dot. */
function trace(values, x, y) {
  let path = "";
  values.forEach((value, slot) => {
    if (value === null) return;
    const begins = slot === 0 || values[slot - 1] === null;
    path += `${begins ? "M" : "L"}${x(slot).toFixed(1)} ${y(value).toFixed(1)}`;
    if (begins && (values[slot + 1] ?? null) === null) path += "h.1";
  });
  return path;
}

function fill(values, x, y) {
  let path = "";
  let start = null;
  values.forEach((value, slot) => {
    if (value === null) return;
    start ??= slot;
    path += `${start === slot ? "M" : "L"}${x(slot).toFixed(1)} ${y(value).toFixed(1)}`;
    if ((values[slot + 1] ?? null) === null) {
      path += `L${x(slot).toFixed(1)} ${y(0)}L${x(start).toFixed(1)} ${y(0)}Z`;
      start = null;
    }
  });
  return path;
}
