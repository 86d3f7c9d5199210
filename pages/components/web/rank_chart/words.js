/**
 * The sentence about the handle's rank and its numbers, which are also the legend.
 */

import { element, swatch } from "../kit/dom.js";
import { themed } from "../kit/theme.js";

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
      const mark = color ? swatch({ color: themed(color, payload.dark, theme), width: 2.5, dash }, 20) : "";
      const value = element("dd", {}, Array.isArray(text) ? "" : text);
      if (Array.isArray(text)) this.values.push([value, text]);
      return element("div", {}, element("dt", {}, mark, name), value);
    });
    this.cells.replaceChildren(...cells);
  }

  /** @param {number} place  in the list of ranks */
  show(place) {
    this.sentence.textContent = this.payload.words[place];
    for (const [node, values] of this.values) node.textContent = values[place];
  }
}
