/**
 * The five numbers in one line, of the run that is shown or of the held rank, each with an explanation on hover,
 * focus or tap.
 */

import { element } from "../kit/dom.js";
import { hand } from "../kit/hand.js";
import { mounting } from "../kit/mount.js";
import { Headline } from "./headline.js";
import { styled } from "./style.js";

class Numbers {
  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    this.cells = [];
    this.root = element("dl", { class: "five-numbers", "data-testid": "five-numbers" });
    parent.appendChild(this.root);
    this.headline = new Headline(signal);
    hand.listen(() => this.show(), signal);
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.explain(null), { signal });
    document.addEventListener("pointerdown", (event) => !this.root.contains(event.target) && this.explain(null), { signal });
  }

  /** @param {{data: {rank: number, final: number|null, names: string[], meanings: string[], numbers: [string, string][]}}} component */
  update({ data }) {
    this.data = data;
    if (data.names.join() !== this.names) this.build(data);
    hand.show(data.rank, data.final);
    this.show();
  }

  build({ names, meanings }) {
    this.names = names.join();
    this.cells = names.map((name, place) => {
      const value = element("strong");
      const note = element("span", { class: "aside" });
      const tip = element("span", { class: "tip", role: "tooltip", id: `meaning-${place}` }, meanings[place]);
      const term = element("button", { type: "button", "aria-describedby": tip.id }, name);
      const cell = element("div", {}, element("dt", {}, term, tip), element("dd", {}, value, note));
      term.addEventListener("click", () => this.explain(cell.dataset.open === "true" ? null : cell));
      return { cell, value, note };
    });
    this.root.replaceChildren(...this.cells.map(({ cell }) => cell));
  }

  /** @param {HTMLElement|null} cell  whose explanation stays open */
  explain(cell) {
    for (const each of this.cells) each.cell.dataset.open = String(each.cell === cell);
  }

  show() {
    if (!this.data) return;
    const held = hand.differs(this.data.rank) ? hand.trained?.numbers[hand.place] : null;
    (held ?? this.data.numbers).forEach(([value, note], place) => {
      this.cells[place].value.textContent = value;
      this.cells[place].note.textContent = note;
    });
  }

  destroy() {
    this.listeners.abort();
    this.root.remove();
  }
}

export default mounting((parent) => new Numbers(parent), styled);
