/**
 * The five maps in their places: W0 + [A beside delta, B above it] = W. A's rows stand beside the rows of delta
 * that they make, B's columns above its columns.
 */

import { element } from "../kit/dom.js";
import { significant } from "../kit/series.js";
import { Heatmap, palette } from "./heatmap.js";

/** @typedef {import("./matrices.js").Name} Name */

const TITLES = { W0: "W₀, frozen", A: "A", B: "B", delta: "s·A·B", W: "W₀ + s·A·B" };
/** Axes of each map: downwards, and to the right. */
const AXES = {
  W0: ["input", "output"],
  A: ["input", "rank"],
  B: ["rank", "output"],
  delta: ["input", "output"],
  W: ["input", "output"],
};
const [TALLEST, NARROW_TALLEST] = [300, 200];
const LEAST = 96;
const STRIP = 12;
const NARROW = 640;
/** CSS pixels of a row that are not maps: signs, the text beside A, and the gaps; narrow, A's strip too. */
const BESIDE = 190;

export class Maps {
  /**
   * @param {(words: string) => void} say  called with the description of the cell under the pointer
   * @param {AbortSignal} signal
   */
  constructor(say, signal) {
    this.say = say;
    /** @type {Record<Name, Heatmap>} */
    this.maps = Object.fromEntries(Object.entries(TITLES).map(([name, title]) => [name, new Heatmap(title)]));
    const { W0, A, B, delta, W } = this.maps;
    for (const [name, map] of Object.entries(this.maps)) {
      map.root.dataset.matrix = name;
      map.canvas.addEventListener("pointermove", (event) => this.point(name, map.cell(event)), { signal });
      map.canvas.addEventListener("pointerleave", () => this.leave(), { signal });
    }
    const sign = (text) => element("div", { class: "sign", "aria-hidden": "true" }, element("span", {}, text));
    const change = element("div", { class: "change" }, B.root, A.root, delta.root);
    this.root = element("div", { class: "maps" }, W0.root, sign("+"), change, sign("="), W.root);
  }

  /** @param {import("./matrices.js").KeptMatrices} history */
  load(history) {
    this.history = history;
    for (const [name, map] of Object.entries(this.maps)) map.size(...history.cells(name));
    this.fit();
  }

  /** Give each map the size that the current width allows. */
  fit() {
    const width = this.root.getBoundingClientRect().width;
    if (!width || !this.history) return;
    const { shapes } = this.history.payload;
    const [inputs, outputs] = shapes.W0;
    const ranks = shapes.A[1];
    const narrow = width < NARROW;
    const strip = (perEntry, most) => Math.round(Math.min(most, Math.max(STRIP, perEntry * ranks)));
    // A wide row holds three maps and A's strip; on a narrow page they are below one another.
    const tallest = narrow ? NARROW_TALLEST : TALLEST;
    let room = (width - BESIDE) / (narrow ? 1 : 3);
    let perEntry = Math.min(room / outputs, tallest / inputs);
    const wide = strip(perEntry, narrow ? 64 : room / 2);
    if (!narrow) room = (width - BESIDE - wide) / 3;
    perEntry = Math.min(room / outputs, tallest / inputs);
    const size = {
      "--wide": Math.round(Math.min(room, Math.max(LEAST, perEntry * outputs))),
      "--tall": Math.round(Math.max(LEAST, perEntry * inputs)),
      "--strip-wide": wide,
      "--strip-tall": strip(perEntry, tallest / 3),
    };
    for (const [name, value] of Object.entries(size)) this.root.style.setProperty(name, `${value}px`);
    this.root.classList.toggle("narrow", narrow);
  }

  /**
   * @param {number} index  of the kept number of updates
   * @param {string[]} colors  of the theme
   * @param {number} scale  the value of the strongest colour
   */
  show(index, colors, scale) {
    if (colors !== this.colors) [this.colors, this.table] = [colors, palette(colors)];
    this.matrices = this.history.at(index);
    for (const [name, map] of Object.entries(this.maps)) {
      map.paint(this.matrices[name], scale, this.table);
      map.write(this.history.payload.labels[name][index]);
    }
    this.maps.delta.lines[0].textContent = `s·A·B, s = ${this.history.payload.scalingTexts[index]}`;
    if (this.pointed) this.point(...this.pointed);
  }

  /**
   * @param {Name} name
   * @param {[number, number]} cell
   */
  point(name, [row, column]) {
    this.pointed = [name, [row, column]];
    for (const [other, map] of Object.entries(this.maps)) map.outline(...shared(name, other, row, column));
    const value = this.matrices[name][row * this.maps[name].columns + column];
    const [down, right] = AXES[name];
    const words = [this.span(down, row), this.span(right, column)].join(", ");
    this.say(`${TITLES[name].split(",")[0]} at ${words}${words.includes("–") ? ", mean" : ""}: ${signedText(value)}`);
  }

  /**
   * Entries that a cell spans along an axis, in words: input 3, or inputs 9–16.
   * @param {"input"|"output"|"rank"} axis
   * @param {number} cell
   */
  span(axis, cell) {
    const { shapes, block, output } = this.history.payload;
    const [name, first] = axis === "output" ? output : [axis, 1];
    const [size, total] = {
      input: [block[0], shapes.W0[0]],
      output: [block[1], shapes.W0[1]],
      rank: [block[2], shapes.A[1]],
    }[axis];
    const from = cell * size + first;
    const to = Math.min((cell + 1) * size, total) - 1 + first;
    return size === 1 ? `${name} ${from}` : `${name}s ${from}–${to}`;
  }

  leave() {
    this.pointed = null;
    for (const map of Object.values(this.maps)) map.outline(null, null);
    this.say("");
  }
}

/**
 * Part of another map that belongs to a cell: the same cell, or the row of A and the column of B that make it.
 * @param {Name} name
 * @param {Name} other
 * @param {number} row
 * @param {number} column
 * @returns {[number|null, number|null]}
 */
function shared(name, other, row, column) {
  const factor = (which) => which === "A" || which === "B";
  if (name === other || (!factor(name) && !factor(other))) return [row, column];
  if (name === "A") return other === "B" ? [column, null] : [row, null];
  if (name === "B") return other === "A" ? [null, row] : [null, column];
  return other === "A" ? [row, null] : [null, column];
}

/**
 * Format to three significant digits with a true minus, with the same characters as `signed_text` in lora_core/figures/inside/drawing.py.
 * @param {number} value
 */
export function signedText(value) {
  const text = significant(Math.abs(value), 3);
  return value < 0 ? `−${text}` : text;
}
