/**
 * The sentence about the rank under the finger and its numbers, which are the legend in one.
 */

import { element, svg } from "../kit/dom.js";
import { themed } from "../kit/theme.js";

const DASHES = { dash: "5 3", dot: "2 3", solid: "none" };

export class Words {
  constructor() {
    this.sentence = element("p", { class: "sentence", "aria-live": "polite" });
    this.cells = element("dl", {});
    this.root = element("div", { class: "words" }, this.sentence, this.cells);
  }

  /**
   * @param {any} payload
   * @param {any} theme
   */
  load(payload, theme) {
    this.payload = payload;
    this.values = [];
    const cells = payload.cells.map(({ name, color, dash, text }) => {
      const mark = color ? this.swatch(themed(color, payload.dark, theme), DASHES[dash]) : "";
      const value = element("dd", {}, Array.isArray(text) ? "" : text);
      if (Array.isArray(text)) this.values.push([value, text]);
      return element("div", {}, element("dt", {}, mark, name), value);
    });
    this.cells.replaceChildren(...cells);
  }

  /**
   * @param {string} color
   * @param {string} dash
   */
  swatch(color, dash) {
    const line = { x1: 0, y1: 4, x2: 20, y2: 4, stroke: color, "stroke-width": 2.5, "stroke-dasharray": dash };
    return svg("svg", { width: 20, height: 8, "aria-hidden": "true" }, svg("line", line));
  }

  /** @param {number} place  in the list of ranks */
  show(place) {
    this.sentence.textContent = this.payload.words[place];
    for (const [node, values] of this.values) node.textContent = values[place];
  }
}
