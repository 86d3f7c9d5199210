/**
 * The sentence about the rank under the finger and its numbers, which are the legend in one.
 */

const DASHES = { floor: "5 3", "held-out": "2 3" };

export class Words {
  /** @param {any} kit */
  constructor({ element, svg, themed }) {
    Object.assign(this, { element, svg, themed });
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
    const color = (name) => this.themed(payload.colors[name], payload.dark, theme);
    this.values = [];
    this.title = this.element("dd", {});
    const cells = [this.cell(this.element("dt", {}, "rank"), this.title)];
    for (const [name, values] of Object.entries(payload.cells)) {
      const value = this.element("dd", {});
      this.values.push([value, values]);
      const mark = name.startsWith("of") ? "" : this.swatch(color("lora"), DASHES[name]);
      cells.push(this.cell(this.element("dt", {}, mark, name), value));
    }
    for (const [name, text] of Object.entries(payload.fixed)) {
      cells.push(this.cell(this.element("dt", {}, this.swatch(color(name)), name), this.element("dd", {}, text)));
    }
    this.cells.replaceChildren(...cells);
  }

  cell(name, value) {
    return this.element("div", {}, name, value);
  }

  swatch(color, dash = "none") {
    const line = { x1: 0, y1: 4, x2: 20, y2: 4, stroke: color, "stroke-width": 2.5, "stroke-dasharray": dash };
    return this.svg("svg", { width: 20, height: 8, "aria-hidden": "true" }, this.svg("line", line));
  }

  /** @param {number} place  in the list of ranks */
  show(place) {
    this.sentence.textContent = this.payload.words[place];
    this.title.textContent = String(this.payload.ranks[place]);
    for (const [node, values] of this.values) node.textContent = values[place];
  }
}
