/**
 * One matrix as a heatmap: a canvas with a pixel for each cell, enlarged by the browser without smoothing.
 */

import { element } from "../kit/dom.js";

const SHADES = 255;

/**
 * The colours from -1 to 1 as 32-bit pixels, SHADES on either side of zero.
 * @param {string[]} stops  hexadecimal colours of -1, 0 and 1
 * @returns {Uint32Array}
 */
export function palette(stops) {
  const [low, zero, high] = stops.map((color) =>
    [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)),
  );
  const table = new Uint8ClampedArray(4 * (2 * SHADES + 1));
  for (let shade = -SHADES; shade <= SHADES; shade += 1) {
    const end = shade < 0 ? low : high;
    const share = Math.abs(shade) / SHADES;
    const mixed = zero.map((channel, index) => channel + share * (end[index] - channel));
    table.set([...mixed, 255], 4 * (shade + SHADES));
  }
  return new Uint32Array(table.buffer);
}

/** Index of a value in the table of `palette`. */
function shade(value, scale) {
  const share = Math.max(-1, Math.min(1, value / scale));
  return Math.round(share * SHADES) + SHADES;
}

export class Heatmap {
  /** @param {string} title */
  constructor(title) {
    this.title = title;
    this.canvas = /** @type {HTMLCanvasElement} */ (element("canvas", { role: "img" }));
    this.mark = element("div", { class: "mark" });
    this.mark.hidden = true;
    this.frame = element("div", { class: "frame" }, this.canvas, this.mark);
    this.words = element("figcaption", {});
    this.lines = ["strong", "span", "span", "span"].map((tag) => element(tag));
    this.lines[0].textContent = title;
    this.words.append(...this.lines);
    this.root = element("figure", {}, this.words, this.frame);
  }

  /**
   * @param {number} rows
   * @param {number} columns
   */
  size(rows, columns) {
    this.rows = rows;
    this.columns = columns;
    this.canvas.width = columns;
    this.canvas.height = rows;
    this.context = this.canvas.getContext("2d");
    this.image = this.context.createImageData(columns, rows);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  /**
   * @param {Float32Array} values
   * @param {number} scale  the value of the strongest colour
   * @param {Uint32Array} colors
   */
  paint(values, scale, colors) {
    for (let i = 0; i < values.length; i += 1) this.pixels[i] = colors[shade(values[i], scale)];
    this.context.putImageData(this.image, 0, 0);
  }

  /** @param {string[]} lines  shape, norm, rank */
  write(lines) {
    lines.forEach((line, index) => {
      if (this.lines[index + 1].textContent !== line) this.lines[index + 1].textContent = line;
    });
    this.canvas.setAttribute("aria-label", `${this.title}: ${lines.join(", ")}`);
  }

  /**
   * Row and column of the cell under the pointer.
   * @param {PointerEvent} event
   */
  cell(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const at = (offset, size, count) => Math.min(count - 1, Math.max(0, Math.floor((offset / size) * count)));
    return [at(event.clientY - top, height, this.rows), at(event.clientX - left, width, this.columns)];
  }

  /**
   * Outline a cell, or a whole row or column if the other index is null; nothing if both are.
   * @param {number|null} row
   * @param {number|null} column
   */
  outline(row, column) {
    this.mark.hidden = row === null && column === null;
    const [top, height] = row === null ? [0, 1] : [row / this.rows, 1 / this.rows];
    const [left, width] = column === null ? [0, 1] : [column / this.columns, 1 / this.columns];
    const box = { top, left, width, height };
    for (const [side, share] of Object.entries(box)) this.mark.style[side] = `${100 * share}%`;
  }
}
