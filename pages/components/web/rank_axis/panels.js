/**
 * Two panels over one axis of ranks, final error above trainable share, with the mark of the rank over both.
 *
 * Everything but the mark is drawn once for an experiment, a size and a theme.
 */

import { element, svg } from "../kit/dom.js";
import { hand } from "../kit/hand.js";
import { formatShort } from "../kit/series.js";
import { LogScale, RankScale, path } from "./scale.js";

const LOW = 60; // pixels: a lower panel gets no legend
const MARGIN = { left: 44, right: 12, top: 22, between: 34, bottom: 20 };

export class Panels {
  constructor() {
    this.still = svg("g");
    this.line = svg("line", { class: "mark" });
    this.final = svg("circle", { class: "dot lora", r: 6 });
    this.floor = svg("circle", { class: "dot hollow", r: 4.5 });
    this.share = svg("circle", { class: "dot lora", r: 6 });
    this.ends = svg("text", { class: "value", "text-anchor": "end", y: 14 });
    this.counts = svg("text", { class: "value", "text-anchor": "end" });
    const moving = svg("g", {}, this.line, this.floor, this.final, this.share, this.ends, this.counts);
    this.buys = svg("g", { role: "img" });
    this.costs = svg("g", { role: "img", "data-testid": "share-chart" });
    this.svg = svg("svg", { class: "panels" }, this.buys, this.costs, this.still, moving);
    this.root = element("div", { class: "plots" }, this.svg);
  }

  /**
   * @param {any} data  as `shared_axis_message` in lora_core/figures/ranks/shared_axis.py gives it
   * @param {number} width
   * @param {number} height
   */
  draw(data, width, height) {
    this.data = data;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const right = width - MARGIN.right;
    const room = (height - MARGIN.top - MARGIN.between - MARGIN.bottom) / 2;
    const upper = { top: MARGIN.top, bottom: MARGIN.top + room * 1.16 };
    const lower = { top: upper.bottom + MARGIN.between, bottom: height - MARGIN.bottom };
    this.box = { left: MARGIN.left, right, upper, lower };
    this.x = new RankScale(data.ranks, MARGIN.left + 10, right - 10);
    this.loss = new LogScale(data.span, upper.bottom, upper.top);
    const least = Math.min(...data.shares);
    const most = Math.max(1, ...data.shares);
    this.percent = new LogScale([least / 1.25, most * 1.25], lower.bottom, lower.top);
    this.line.setAttribute("y1", String(upper.top));
    this.line.setAttribute("y2", String(height));
    this.ends.setAttribute("x", String(right));
    this.counts.setAttribute("x", String(right));
    this.counts.setAttribute("y", String(lower.top - 8));
    this.still.replaceChildren(...this.frame(), ...this.upper(), ...this.lower(least, most), ...this.legend());
  }

  frame() {
    const { left, right, upper, lower } = this.box;
    const title = (text, y) => words(text, { class: "title", x: 0, y });
    const ranks = this.x.ticks().map((rank) => {
      return words(String(rank), { x: this.x.at(rank), y: lower.bottom + 15, "text-anchor": "middle" });
    });
    const feet = [upper, lower].map(({ bottom }) => rule(left, right, bottom));
    return [title("Error at the end of training", 14), title("Numbers trained", lower.top - 8), ...feet, ...ranks];
  }

  upper() {
    const { left, right } = this.box;
    const { data, x, loss } = this;
    const xs = data.ranks.map((rank) => x.at(rank));
    const ys = (values) => values.map((value) => loss.at(value));
    const parts = data.ticks.flatMap((value) => this.tick(loss.at(value), formatShort(value)));
    if (data.full !== null) parts.push(line("full", left, right, loss.at(data.full)));
    if (data.floors) parts.push(svg("path", { class: "floors", d: path(xs, ys(data.floors)) }));
    if (!data.trained) return parts;
    const { finals, tests } = data.trained;
    parts.push(svg("path", { class: "tests", d: path(xs, ys(tests)) }));
    parts.push(svg("path", { class: "finals", d: path(xs, ys(finals)) }));
    ys(finals).forEach((y, place) => {
      if (!Number.isNaN(y)) parts.push(svg("circle", { class: "lora", cx: xs[place], cy: y, r: 2.5 }));
    });
    return parts;
  }

  /**
   * @param {number} least
   * @param {number} most
   */
  lower(least, most) {
    const { left, right, lower } = this.box;
    const { data, x, percent } = this;
    const xs = data.ranks.map((rank) => x.at(rank));
    const shares = [0.001, 0.01, 0.1, 1, 10, 100].filter((share) => share >= least / 1.25 && share <= most * 1.25);
    const parts = shares.flatMap((share) => this.tick(percent.at(share), `${formatShort(100 * share)} %`));
    const full = percent.at(1);
    parts.push(line("full", left, right, full));
    const even = x.at(data.breakEven);
    const middle = (left + right) / 2;
    parts.push(svg("line", { class: "even", x1: even, x2: even, y1: lower.top, y2: lower.bottom }));
    const side = even < middle ? { x: even + 5, "text-anchor": "start" } : { x: even - 5, "text-anchor": "end" };
    parts.push(words(`break-even: rank ${formatShort(data.breakEven)}`, { ...side, y: lower.bottom - 6 }));
    parts.push(svg("path", { class: "finals", d: path(xs, data.shares.map((share) => percent.at(share))) }));
    const above = full - lower.top > 16 ? full - 5 : full + 13;
    parts.push(words("full fine-tuning", { class: "full", x: left + 5, y: above }));
    return parts;
  }

  /** Legend of the upper panel, in its upper right corner, which falling curves leave free. */
  legend() {
    const { right, upper } = this.box;
    if (upper.bottom - upper.top < LOW) return []; // as on a phone with digits: the live chart has the same legend
    const names = [["full", "full fine-tuning"], ["floors", "floor"]];
    if (this.data.trained) names.unshift(["finals", "trained"]), names.push(["tests", "new data"]);
    const parts = [];
    names.forEach(([name, text], row) => {
      const y = upper.top + 12 + 14 * row;
      parts.push(words(text, { x: right - 28, y, "text-anchor": "end" }));
      parts.push(svg("path", { class: name, d: `M${right - 22},${y - 4}H${right}` }));
    });
    return parts;
  }

  /**
   * @param {number} y
   * @param {string} text
   */
  tick(y, text) {
    const { left, right } = this.box;
    return [rule(left, right, y), words(text, { x: left - 6, y: y + 4, "text-anchor": "end" })];
  }

  /**
   * @param {number} rank
   * @param {number} place  among the ranks, or -1
   */
  show(rank, place) {
    const { data } = this;
    const across = this.x.at(rank);
    for (const name of ["x1", "x2"]) this.line.setAttribute(name, String(across));
    for (const node of [this.final, this.floor, this.share]) node.setAttribute("cx", String(across));
    const final = data.trained?.finals[place] ?? (rank === hand.shown ? hand.final : null);
    put(this.final, this.loss.at(final));
    put(this.floor, place < 0 || !data.floors ? NaN : this.loss.at(data.floors[place]));
    put(this.share, place < 0 ? NaN : this.percent.at(data.shares[place]));
    this.counts.textContent = place < 0 ? "" : `${data.counts[place]} = ${data.percents[place]}`;
  }
}

/** @param {SVGElement} node @param {number} y */
function put(node, y) {
  const seen = Number.isFinite(y);
  node.setAttribute("visibility", seen ? "visible" : "hidden");
  if (seen) node.setAttribute("cy", y.toFixed(1));
}

/** @param {string} text @param {Record<string, string|number>} attributes */
function words(text, attributes) {
  const node = svg("text", attributes);
  node.textContent = text;
  return node;
}

function rule(left, right, y) {
  return svg("line", { class: "rule", x1: left, x2: right, y1: y, y2: y });
}

function line(name, left, right, y) {
  return svg("line", { class: name, x1: left, x2: right, y1: y, y2: y });
}
