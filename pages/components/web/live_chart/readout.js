/**
 * The numbers of every curve at the update shown; also the legend: each row shows its curve's line.
 *
 * Two small tables: the current run, and beside it the runs that it is compared with.
 */

import { element, swatch } from "../kit/dom.js";
import { significant } from "../kit/series.js";

/** @typedef {import("../kit/series.js").Trace} Trace */

export class Readout {
  constructor() {
    this.root = element("div", { class: "readout" });
    this.caption = element("th", { scope: "col" });
  }

  /**
   * @param {Trace[]} traces  in the colours of the theme
   * @param {import("../kit/series.js").Payload} payload
   */
  load(traces, { epochs, places, column }) {
    this.places = places;
    this.column = column ?? "training";
    const curves = traces.filter(({ meta }) => meta.kind === "loss").sort((a, b) => a.meta.curve - b.meta.curve);
    const tests = new Map(traces.filter(({ meta }) => meta.kind === "test").map((t) => [t.meta.curve, t]));
    this.diverged = new Set(traces.filter(({ meta }) => meta.kind === "mark").map(({ meta }) => meta.curve));
    const present = curves.filter(({ meta }) => meta.play);
    const others = curves.filter(({ meta }) => !meta.play);
    this.cells = [];
    this.names = [];
    this.root.replaceChildren(this.table(this.caption, present, tests));
    if (others.length) {
      this.root.append(this.table(element("th", { scope: "col" }, "to compare with"), others, tests));
    }
  }

  /**
   * @param {HTMLElement} caption
   * @param {Trace[]} curves
   * @param {Map<number, Trace>} tests
   */
  table(caption, curves, tests) {
    const heldOut = curves.some(({ meta }) => tests.has(meta.curve));
    const head = element("tr", {}, caption, column(this.column, this.column === "training" ? undefined : "dot"));
    if (heldOut) head.append(column("new data", "dot"));
    const rows = curves.map((curve) => {
      const name = element("th", { scope: "row", title: curve.name }, swatch(curve.line), curve.name);
      this.names.push({ curve, node: name.lastChild });
      const row = element("tr", {}, name, this.cell(curve, this.column));
      if (heldOut) row.append(this.cell(tests.get(curve.meta.curve), "held-out"));
      return row;
    });
    return element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows));
  }

  /**
   * @param {Trace|undefined} trace
   * @param {string} name
   */
  cell(trace, name) {
    const cell = element("td", { "data-column": name === "training" ? name : "held-out" });
    const ended = trace && this.diverged.has(trace.meta.curve) ? "diverged" : "–";
    if (trace) this.cells.push({ cell, trace, values: trace.y, ended });
    return cell;
  }

  /**
   * Show another rank than the drawn one in LoRA's row.
   * @param {string} name
   * @param {ArrayLike<number>} loss
   * @param {ArrayLike<number>} test
   */
  hold(name, loss, test) {
    for (const each of this.cells) {
      const { play, curve, kind } = each.trace.meta;
      if (play && curve === 0) each.values = kind === "test" ? test : loss;
    }
    const row = this.names.find(({ curve }) => curve.meta.play && curve.meta.curve === 0);
    if (row) row.node.nodeValue = name;
  }

  release() {
    for (const each of this.cells) each.values = each.trace.y;
    for (const { curve, node } of this.names) node.nodeValue = curve.name;
  }

  /** @param {number} epoch */
  show(epoch) {
    const updates = this.places?.[epoch] ?? epoch;
    this.caption.textContent = `after ${updates} ${updates === 1 ? "update" : "updates"}`;
    for (const { cell, values, ended } of this.cells) {
      cell.textContent = Number.isFinite(values[epoch]) ? significant(values[epoch], 4) : ended;
    }
  }
}

/**
 * @param {string} name
 * @param {string} [dash]
 */
function column(name, dash) {
  return element("th", { scope: "col" }, swatch({ color: "currentColor", width: 2, dash }, 16), name);
}
