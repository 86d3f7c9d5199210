/**
 * The handle: a line over the axis of ranks with a knob, and two points, the rank's final loss and its floor.
 *
 * It is placed exactly over Plotly's axes and moved without Plotly, so that a move costs a few attributes.
 */

import { svg } from "../kit/dom.js";

const KNOB = 9; // radius in pixels

export class Handle {
  constructor() {
    this.line = svg("line", { class: "handle-line", y1: 0 });
    this.knob = svg("circle", { class: "knob", r: KNOB });
    this.final = svg("circle", { r: 5.5, "stroke-width": 1.5 });
    this.foot = svg("circle", { r: 4, "stroke-width": 1.5 });
    const attributes = { class: "handle", role: "slider", tabindex: 0, "aria-label": "Rank handle" };
    this.slider = svg("g", attributes, this.line, this.foot, this.final, this.knob);
    this.area = svg("rect", { class: "area", fill: "transparent" });
    this.root = svg("g", {}, this.slider, this.area);
  }

  /**
   * @param {{x: any, y: any}} axes  Plotly's, after it has drawn: ranks and losses
   * @param {any} payload
   * @param {string} color
   * @param {string} page  the page's colour
   */
  place(axes, payload, color, page) {
    Object.assign(this, { axes, payload });
    this.finals = payload.figure.data.find((trace) => trace.name === "trained").y;
    const { x, y } = axes;
    this.root.setAttribute("transform", `translate(${x._offset},${y._offset})`);
    for (const [name, value] of Object.entries({ width: x._length, height: y._length + 2 * KNOB }))
      this.area.setAttribute(name, String(value));
    this.line.setAttribute("y2", y._length);
    this.knob.setAttribute("cy", y._length);
    const { ranks } = payload;
    this.slider.setAttribute("aria-valuemin", ranks[0]);
    this.slider.setAttribute("aria-valuemax", ranks[ranks.length - 1]);
    this.line.setAttribute("stroke", color);
    for (const [node, fill, stroke] of [
      [this.knob, color, page],
      [this.final, color, page],
      [this.foot, page, color],
    ]) {
      node.setAttribute("fill", fill);
      node.setAttribute("stroke", stroke);
    }
  }

  /** @param {number} place  in the list of ranks */
  show(place) {
    const { x, y } = this.axes;
    const rank = this.payload.ranks[place];
    this.slider.setAttribute("transform", `translate(${x.c2p(x.d2c(rank))})`);
    this.slider.setAttribute("aria-valuenow", String(rank));
    this.slider.setAttribute("aria-valuetext", `rank ${rank}: ${this.payload.words[place]}`);
    put(this.final, height(this.finals[place], y));
    put(this.foot, height(this.payload.floors[place], y));
  }

  /**
   * The place in the list of ranks that is nearest to a pointer.
   * @param {number} across  pixels from the left of the figure
   */
  nearest(across) {
    const { x } = this.axes;
    const places = this.payload.ranks.map((rank) => Math.abs(x.c2p(x.d2c(rank)) - across + x._offset));
    return places.indexOf(Math.min(...places));
  }
}

/**
 * Height of a loss on an axis: a zero, or a loss below the axis, is drawn at its foot; NaN stays NaN.
 * @param {number} value
 * @param {any} axis
 */
export function height(value, axis) {
  return value > 0 ? Math.min(axis._length, axis.c2p(axis.d2c(value))) : value === 0 ? axis._length : NaN;
}

/** Move a point to a height, or hide it if the height is NaN. */
function put(node, height) {
  node.setAttribute("visibility", Number.isFinite(height) ? "visible" : "hidden");
  if (Number.isFinite(height)) node.setAttribute("cy", height.toFixed(1));
}
