/**
 * The page's live chart, as far as a rank needs it: axes to lay its curve over, and the curve of the run that is
 * shown there, which steps back meanwhile.
 */

import { svg } from "../kit/dom.js";
import { Curve } from "./curve.js";

const LIVE = "[data-testid=live-chart] .js-plotly-plot";

export class OverLive {
  constructor() {
    this.curve = new Curve();
    this.label = svg("text", { class: "rank-label", "text-anchor": "end" });
    this.root = svg("svg", { class: "rank-over-live", "aria-hidden": "true" }, this.curve.root, this.label);
    this.root.style.display = "none";
    this.redrawn = () => this.settle();
  }

  /**
   * @param {any} payload
   * @param {string} color
   * @param {string} page  the page's colour
   */
  place(payload, color, page) {
    if (payload !== this.payload) this.shown = undefined; // it counts the ranks of another sweep
    Object.assign(this, { payload, color });
    this.label.setAttribute("fill", color);
    this.label.setAttribute("stroke", page);
    this.settle();
  }

  /** Lie exactly over the axes, which move whenever the live chart is drawn again. */
  settle() {
    const div = /** @type {any} */ (document.querySelector(LIVE));
    if (!div?._fullLayout?.xaxis || !this.payload) return false;
    if (div !== this.div) {
      this.leave();
      this.div = div;
      div.after(this.root);
      div.on("plotly_afterplot", this.redrawn);
    }
    const { xaxis: x, yaxis: y } = div._fullLayout;
    Object.assign(this.root.style, { left: `${x._offset}px`, top: `${y._offset}px` });
    for (const [name, length] of Object.entries({ width: x._length, height: y._length }))
      this.root.setAttribute(name, String(length));
    this.curve.place({ x, y }, this.payload, this.color);
    this.label.setAttribute("x", String(x._length - 8));
    if (this.shown !== undefined) this.show(this.shown);
    return true;
  }

  /** @param {number|undefined} place  in the list of ranks; undefined: the live chart is left to itself */
  show(place) {
    this.shown = place;
    this.root.style.display = place === undefined ? "none" : "";
    if (!this.div?.isConnected && (place === undefined || !this.settle())) return;
    this.fade(place !== undefined);
    if (place === undefined) return;
    this.curve.show(place);
    const values = this.payload.figure.data.find((trace) => trace.name === "trained").y;
    this.label.textContent = Number.isFinite(values[place])
      ? `rank ${this.payload.ranks[place]}`
      : `rank ${this.payload.ranks[place]} diverges`;
    this.label.setAttribute("y", String(this.curve.labelAt(place)));
  }

  /** @param {boolean} back  whether the run's own curves step back */
  fade(back) {
    const groups = this.div.querySelectorAll(".scatterlayer > .trace");
    (this.div.data ?? []).forEach((trace, index) => {
      const own = trace.meta?.play && (trace.line?.color ?? trace.marker?.color) === this.color;
      if (own && groups[index]) groups[index].style.opacity = back ? "0.3" : "1";
    });
  }

  leave() {
    this.div?.removeListener?.("plotly_afterplot", this.redrawn);
    this.root.remove();
  }
}
