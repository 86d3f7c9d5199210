/**
 * Answers of the base, LoRA and full fine-tuning with the same random draws, at the place of the scrub bar.
 */

import { element } from "../kit/dom.js";
import { themed } from "../kit/theme.js";

export class Words {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.table = element("table", { class: "network-words" });
    root.append(this.table);
  }

  /**
   * @param {any} payload
   * @param {import("../kit/theme.js").Theme} theme
   */
  draw(payload, theme) {
    this.payload = payload;
    const head = payload.columns.map(({ name, color }) => {
      const cell = element("th", { scope: "col" }, name);
      cell.style.color = themed(color, payload.dark, theme);
      return cell;
    });
    this.rows = payload.columns[0].words.at(-1).map(() => payload.columns.map(() => element("td")));
    const rows = this.rows.map((cells) => element("tr", {}, ...cells));
    this.table.replaceChildren(
      element("thead", {}, element("tr", {}, ...head)),
      element("tbody", {}, ...rows),
    );
  }

  /** @param {number} look */
  show(look) {
    const { columns, right } = this.payload;
    columns.forEach(({ words, scored }, column) => {
      const shown = words[Math.min(look, words.length - 1)];
      this.rows.forEach((cells, row) => {
        const word = shown[row];
        if (scored && right) cells[column].replaceChildren(...marked(word, right[row]));
        else if (cells[column].textContent !== word) cells[column].textContent = word;
      });
    });
  }
}

/**
 * Letters of an answer, the wrong ones struck through.
 * @param {string} word
 * @param {string} right
 */
function marked(word, right) {
  return [...word].map((letter, place) => {
    if (letter === right[place]) return letter;
    return element("s", { title: `should be ${right[place]}` }, letter);
  });
}
