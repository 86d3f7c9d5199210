/**
 * First picture of a run, shown until plotly.js has started: axes, floors and curves at the same places as in
 * Plotly's figure, which then replaces it.
 */

import { DASHES, svg } from "../kit/dom.js";
import { formatShort } from "../kit/series.js";
import { themed } from "../kit/theme.js";
import { layout } from "./layout.js";

const TICKS = 5;

export class Quick {
  constructor() {
    this.root = svg("svg", { class: "quick", "aria-hidden": "true" });
  }

  /**
   * @param {import("../kit/series.js").Payload} payload
   * @param {import("../kit/theme.js").Theme} theme
   * @param {import("./layout.js").Kind} kind
   * @param {{width: number, height: number}} box
   */
  draw(payload, theme, kind, box) {
    const plan = layout(payload, theme, kind, {}, box);
    const { l, r, t, b } = plan.margin;
    const [right, foot] = [box.width - r, box.height - b];
    const [low, high] = plan.yaxis.range;
    const measure = kind === "log" ? Math.log10 : Number;
    const x = (update) => l + ((right - l) * update) / payload.epochs;
    const y = (value) => foot - ((foot - t) * (measure(value) - low)) / (high - low);
    const text = (words, attributes) => {
      const node = svg("text", { fill: theme.muted, "font-size": theme.size, ...attributes });
      node.textContent = words;
      return node;
    };
    const rule = (x1, y1, x2, y2) => svg("line", { x1, y1, x2, y2, stroke: theme.grid });
    const parts = [];
    const { tickvals = steps(0, payload.epochs), ticktext } = plan.xaxis;
    for (const [index, update] of [...tickvals].entries()) {
      parts.push(rule(x(update), t, x(update), foot));
      parts.push(text(ticktext?.[index] ?? formatShort(update), { x: x(update), y: foot + theme.size * 1.4, "text-anchor": "middle" }));
    }
    const values = kind === "log" ? powers(low, high) : steps(low, high);
    for (const value of values) {
      parts.push(rule(l, y(value), right, y(value)));
      parts.push(text(formatShort(value), { x: l - 4, y: y(value) + theme.size / 3, "text-anchor": "end" }));
    }
    plan.shapes.forEach(({ xref, x0, yref, y0, line }, index) => {
      const at = yref === "paper" ? foot : y(y0);
      const { width, color } = line;
      const look = { stroke: color, "stroke-width": width, "stroke-dasharray": DASHES.dash };
      parts.push(svg("line", { x1: xref === "x" ? x(x0) : l, x2: right, y1: at, y2: at, ...look }));
      const label = plan.annotations[index];
      parts.push(text(label.text, { x: right + 9, y: at - label.yshift + theme.size / 3, fill: label.font.color }));
    });
    for (const { x: updates, y: losses, line, meta } of themed(payload.figure.data, payload.dark, theme)) {
      if (meta.kind === "mark") continue;
      const seen = Array.from(losses);
      const ended = seen.findIndex((loss) => !Number.isFinite(loss)); // a run that diverged
      const points = seen.slice(0, ended < 0 ? undefined : ended).map((loss, update) => {
        return `${x(updates?.[update] ?? update).toFixed(1)},${Math.min(foot, Math.max(t, y(Math.max(loss, 1e-300)))).toFixed(1)}`;
      });
      const look = { stroke: line.color, "stroke-width": line.width, fill: "none" };
      const dashes = line.dash ? { "stroke-dasharray": DASHES[line.dash] ?? "none" } : {};
      parts.push(svg("polyline", { points: points.join(" "), ...look, ...dashes }));
    }
    this.root.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
    this.root.replaceChildren(...parts);
  }
}

/** Round numbers from `low` to `high`. */
function steps(low, high) {
  const rough = (high - low) / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((each) => each >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high * (1 + 1e-9); value += step) found.push(value);
  return found;
}

/** Powers of ten between two logarithms. */
function powers(low, high) {
  const found = [];
  for (let power = Math.ceil(low); power <= high; power += 1) found.push(10 ** power);
  return found;
}
