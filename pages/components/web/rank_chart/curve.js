/**
 * Learning curve and floor of the handle's rank, placed over axes of updates and losses. A move costs one path and
 * one line.
 */

import { DASHES, svg } from "../kit/dom.js";
import { height } from "./handle.js";

export class Curve {
  constructor() {
    this.path = svg("path", { class: "curve", fill: "none", "stroke-width": 3 });
    this.floor = svg("line", { class: "floor", "stroke-width": 1.8, "stroke-dasharray": DASHES.dash });
    this.root = svg("g", {}, this.floor, this.path);
  }

  /**
   * @param {{x: any, y: any}} axes  Plotly's, after it has drawn: updates and losses
   * @param {any} payload
   * @param {string} color
   */
  place(axes, payload, color) {
    Object.assign(this, { axes, payload });
    this.curves = payload.figure.data.filter((trace) => trace.meta.part === "curve").map((trace) => trace.y);
    this.across = Float64Array.from(this.curves[0], (_, update) => axes.x.c2p(update));
    this.floor.setAttribute("x2", axes.x._length);
    for (const node of [this.path, this.floor]) node.setAttribute("stroke", color);
  }

  /** @param {number} place  in the list of ranks */
  show(place) {
    const floor = height(this.payload.floors[place], this.axes.y);
    for (const name of ["y1", "y2"]) this.floor.setAttribute(name, String(floor));
    this.path.setAttribute("d", this.draw(this.curves[place]));
  }

  /** @param {ArrayLike<number>} values  up to the first that is not a number */
  draw(values) {
    let path = "";
    for (let update = 0; update < values.length; update += 1) {
      const down = height(values[update], this.axes.y);
      if (Number.isNaN(down)) break;
      path += `${update ? "L" : "M"}${this.across[update].toFixed(1)},${Math.max(0, down).toFixed(1)}`;
    }
    return path;
  }
}
