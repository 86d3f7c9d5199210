/**
 * The moving parts of a playback, placed exactly over the axes: a cursor line with a dot on each curve, and a thin
 * guide under the pointer. None of them makes Plotly draw.
 */

import { svg } from "../kit/dom.js";

export class Overlay {
  constructor() {
    this.cursor = svg("line", { class: "cursor", y1: 0 });
    this.guide = svg("line", { class: "guide", y1: 0, visibility: "hidden" });
    this.dots = svg("g");
    this.leaving = svg("g");
    this.root = svg("svg", { class: "overlay", "aria-hidden": "true" }, this.guide, this.cursor, this.leaving, this.dots);
  }

  /**
   * @param {{x: any, y: any}} axes  Plotly's, after it has drawn
   * @param {import("../kit/series.js").Trace[]} traces
   * @param {import("../kit/theme.js").Theme} theme
   */
  place(axes, traces, theme) {
    this.axes = axes;
    this.curves = traces.filter((trace) => !["mark", "floor"].includes(trace.meta.kind));
    this.held = null;
    const { style } = /** @type {any} */ (this.root);
    Object.assign(style, { left: `${axes.x._offset}px`, top: `${axes.y._offset}px` });
    this.root.setAttribute("width", axes.x._length);
    this.root.setAttribute("height", axes.y._length);
    for (const line of [this.cursor, this.guide]) line.setAttribute("y2", axes.y._length);
    const dots = this.curves.map(({ meta, line }) => {
      const hollow = meta.kind === "test";
      const [fill, stroke] = hollow ? [theme.page, line.color] : [line.color, theme.page];
      return svg("circle", { r: meta.play && !hollow ? 5 : 3.5, "stroke-width": 1.5, fill, stroke });
    });
    this.dots.replaceChildren(...dots);
    this.leaving.replaceChildren(...this.curves.flatMap((trace) => this.leaves(trace)));
  }

  /**
   * Arrow at the point where a training curve leaves the plot at its top.
   * @param {import("../kit/series.js").Trace} trace
   */
  leaves({ y: values, line, meta }) {
    const { x, y } = this.axes;
    const update = meta.kind === "loss" ? Array.from(values).findIndex((loss) => y.c2p(y.d2c(loss)) < -2) : -1;
    if (update < 0 || !within(x.c2p(update), x._length)) return [];
    const at = x.c2p(update);
    return [svg("path", { class: "leaving", d: `M${at - 7},11L${at},1L${at + 7},11Z`, fill: line.color })];
  }

  /**
   * Place LoRA's dots on other curves than the drawn ones; null: on the drawn ones.
   * @param {{loss: ArrayLike<number>, test: ArrayLike<number>}|null} curves
   */
  hold(curves) {
    this.held = curves;
  }

  /**
   * Move cursor and dots to the (fractional) update `head`; those outside the axes are hidden.
   * @param {number} head
   */
  reveal(head) {
    const { x, y } = this.axes;
    const across = x.c2p(head);
    const inside = within(across, x._length);
    put(this.cursor, inside, `translate(${across})`);
    this.curves.forEach((trace, index) => {
      const held = this.held && trace.meta.curve === 0 && trace.meta.play;
      const height = heightAt(held ? this.held[trace.meta.kind] : trace.y, head, y);
      put(this.dots.children[index], inside && within(height, y._length), `translate(${across},${height})`);
    });
  }

  /** @param {number|null} update */
  point(update) {
    put(this.guide, update !== null, `translate(${this.axes?.x.c2p(update ?? 0)})`);
  }
}

/**
 * @param {Element} node
 * @param {boolean} seen
 * @param {string} transform
 */
function put(node, seen, transform) {
  node.setAttribute("visibility", seen ? "visible" : "hidden");
  if (seen) node.setAttribute("transform", transform);
}

/** Whether a place is on the axis; false for NaN, the height of a curve that has ended. */
function within(place, length) {
  return place >= -0.5 && place <= length + 0.5;
}

/**
 * Height in pixels of a curve at a fractional update, on the straight line that Plotly draws between two points.
 * @param {ArrayLike<number>} values
 * @param {number} head
 * @param {any} axis
 */
function heightAt(values, head, axis) {
  const before = Math.floor(head);
  const share = head - before;
  const low = values[before] === undefined ? NaN : axis.c2p(values[before]);
  return share ? low + (axis.c2p(values[before + 1]) - low) * share : low;
}
