/**
 * Learnt against forgotten: held-out loss on the new task on the x axis, on the old task on the y axis; a path each
 * for LoRA and full fine-tuning, with a round and a square mark at the place of the scrub bar. Lower is better on
 * both axes.
 */

import { svg } from "../kit/dom.js";
import { themed } from "../kit/theme.js";

export class Plane {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.svg = svg("svg", { class: "network-plane" });
    root.append(this.svg);
  }

  /**
   * @param {any} payload
   * @param {import("../kit/theme.js").Theme} theme
   * @param {number} width
   */
  draw(payload, theme, width) {
    const { height, paths, axes } = payload;
    const { size } = theme;
    const box = { left: size * 3.6, top: size * 0.8, right: width - size, bottom: height - size * 3.4 };
    const scale = ([low, high], from, to) => (value) => from + ((value - low) / (high - low)) * (to - from);
    const x = scale(axes.x.range, box.left, box.right);
    const y = scale(axes.y.range, box.bottom, box.top);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("width", String(width));
    this.svg.setAttribute("height", String(height));
    const parts = [];
    const write = (at, words, more = {}) => {
      const node = svg("text", { x: at[0], y: at[1], "text-anchor": "middle", "dominant-baseline": "middle", ...more });
      node.textContent = words;
      parts.push(node);
    };
    for (const tick of axes.x.ticks) {
      parts.push(svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: box.top, y2: box.bottom }));
      write([x(tick), box.bottom + size * 0.9], String(tick), { class: "muted" });
    }
    for (const tick of axes.y.ticks) {
      parts.push(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) }));
      write([box.left - 6, y(tick)], String(tick), { class: "muted", "text-anchor": "end" });
    }
    write([(box.left + box.right) / 2, box.bottom + size * 2.4], axes.x.title, { class: "muted" });
    const [across, up] = [size * 0.8, (box.top + box.bottom) / 2];
    write([across, up], axes.y.title, { class: "muted", transform: `rotate(-90 ${across} ${up})` });
    this.dots = paths.map(({ color, points, round }) => {
      const stroke = themed(color, payload.dark, theme);
      const places = points.map(([a, b]) => [x(a), y(b)]);
      const line = { points: places.map((each) => each.join(",")).join(" "), fill: "none", stroke, "stroke-width": 2 };
      parts.push(svg("polyline", line));
      const look = { x: -5.5, y: -5.5, width: 11, height: 11, rx: round ? 5.5 : 1 }; // not by colour alone
      const dot = svg("rect", { ...look, fill: stroke, stroke: theme.page, "stroke-width": 1.5 });
      return { dot, places };
    });
    if (paths.length && paths[0].points.length) {
      const [a, b] = this.dots[0].places[0];
      parts.push(svg("circle", { cx: a, cy: b, r: 4, fill: themed(payload.colors.base, payload.dark, theme) }));
    }
    this.svg.replaceChildren(...parts, ...this.dots.map(({ dot }) => dot));
  }

  /** @param {number} look */
  show(look) {
    for (const { dot, places } of this.dots) {
      if (!places.length) continue;
      const [a, b] = places[Math.min(look, places.length - 1)];
      dot.setAttribute("transform", `translate(${a} ${b})`);
    }
  }
}
