/**
 * Preview of the held rank on the live chart: its curve, floor, dots and numbers from a sweep, in place of those of
 * the drawn run. A move costs one path and a few attributes; Plotly draws nothing.
 */

import { DASHES, svg } from "../kit/dom.js";
import { hand } from "../kit/hand.js";
import { significant } from "../kit/series.js";

const LORA = 0; // index of LoRA's curve, and of its floor, among those drawn

export class Preview {
  /**
   * @param {import("./chart.js").Chart} chart
   * @param {import("./readout.js").Readout} readout
   */
  constructor(chart, readout) {
    Object.assign(this, { chart, readout, on: false });
    this.path = svg("path", { class: "held-curve" });
    this.floor = svg("line", { class: "held-floor", x1: 0 });
    this.label = svg("text", { class: "held-label" });
    const played = svg("g", { "clip-path": `url(#${chart.clipName})` }, this.path);
    this.inside = svg("svg", { class: "overlay held", "aria-hidden": "true" }, this.floor, played);
    this.beside = svg("svg", { class: "overlay", "aria-hidden": "true" }, this.label);
    chart.veil.after(this.inside, this.beside); // below the dots
    this.clear();
  }

  /** Show or hide the preview, and follow the held rank. */
  show() {
    const { chart } = this;
    const { payload } = chart;
    const differs = payload?.rank != null && chart.axes && hand.differs(payload.rank);
    const trained = differs ? hand.trained : null;
    if (!trained && !this.on) return;
    if (!trained) return this.clear();
    const { place } = hand;
    const curve = trained.curves[place];
    const last = chart.div._fullLayout ? payload.epochs : 0;
    this.on = true;
    this.lay();
    this.path.setAttribute("d", this.draw(curve));
    this.place(hand.ranks.floors?.[place] ?? NaN);
    this.own(false);
    chart.overlay.hold({ loss: curve, test: ends(last, trained.tests[place]) });
    this.readout.hold(`LoRA, rank ${hand.held}`, curve, ends(last, trained.tests[place]));
    chart.root.parentElement?.parentElement?.setAttribute("data-held", String(hand.held));
  }

  /** Place the preview exactly over the axes. */
  lay() {
    const { x, y } = this.chart.axes;
    for (const node of [this.inside, this.beside]) {
      Object.assign(/** @type {any} */ (node).style, { left: `${x._offset}px`, top: `${y._offset}px`, display: "" });
      node.setAttribute("width", x._length);
      node.setAttribute("height", y._length);
    }
    const { color, dash } = this.chart.traces.find(({ meta }) => meta.curve === LORA).line;
    this.path.setAttribute("stroke-dasharray", DASHES[dash] ?? "none");
    for (const node of [this.path, this.floor]) node.setAttribute("stroke", color);
    this.label.setAttribute("fill", color);
    const { payload, head } = this.chart;
    this.floor.setAttribute("x1", payload.here ? x.c2p(Math.floor(head + 1e-9)) : 0);
    this.floor.setAttribute("x2", x._length);
    this.label.setAttribute("x", x._length + 9);
  }

  /** @param {ArrayLike<number>} values  up to the first that is not a number */
  draw(values) {
    const { x, y } = this.chart.axes;
    let path = "";
    for (let update = 0; update < values.length; update += 1) {
      if (Number.isNaN(values[update])) break;
      const down = Math.max(-50, heightOf(values[update], y));
      path += `${update ? "L" : "M"}${x.c2p(update).toFixed(1)},${down.toFixed(1)}`;
    }
    return path;
  }

  /** @param {number} floor */
  place(floor) {
    const { y } = this.chart.axes;
    const at = Number.isNaN(floor) ? -100 : heightOf(floor, y);
    for (const name of ["y1", "y2"]) this.floor.setAttribute(name, String(at));
    this.label.textContent = Number.isNaN(floor) ? "" : `floor ${significant(floor, 3)}`;
    const [, full] = this.chart.div.querySelectorAll(".annotation");
    // Full fine-tuning's label keeps its place: this one avoids it.
    const other = this.chart.div.layout.shapes?.[1];
    const its = other ? heightOf(other.yref === "paper" ? 0 : other.y0, y) : NaN;
    const gap = 16;
    const shifted = full && Math.abs(at - its) < gap ? its - gap : at;
    this.label.setAttribute("y", String(shifted + 4));
  }

  /** @param {boolean} seen  whether the run's own curve and floor are visible */
  own(seen) {
    const { chart } = this;
    const show = (node) => node && (node.style.visibility = seen ? "" : "hidden");
    const groups = chart.div.querySelectorAll(".scatterlayer > .trace");
    // The others are shown too: a group that was hidden is another curve's once a run has more or fewer of them.
    chart.traces.forEach(({ meta }, index) => {
      if (meta.play && meta.curve === LORA) show(groups[index]);
      else if (groups[index]) groups[index].style.visibility = "";
    });
    if (chart.payload.figure.layout.meta.named || !chart.div.layout?.shapes?.length) return; // none is its floor
    show(chart.div.querySelector('.shapelayer [data-index="0"]'));
    show(chart.div.querySelector('.annotation[data-index="0"]'));
  }

  clear() {
    this.on = false;
    for (const node of [this.inside, this.beside]) /** @type {any} */ (node).style.display = "none";
    if (!this.chart.axes) return;
    this.own(true);
    this.chart.overlay.hold(null);
    this.readout.release();
    this.chart.root.parentElement?.parentElement?.removeAttribute("data-held");
  }
}

/**
 * Curve of a value that is known at the last update only.
 * @param {number} last
 * @param {number|null} value
 */
function ends(last, value) {
  const values = [];
  values[last] = value ?? NaN;
  return values;
}

/**
 * Height in pixels of a value; a zero is drawn at the foot of a log axis.
 * @param {number} value
 * @param {any} axis
 */
function heightOf(value, axis) {
  if (axis.type === "log" && value <= 0) return axis._length;
  return Math.min(axis._length, axis.c2p(axis.d2c(value)));
}
