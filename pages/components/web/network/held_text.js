/**
 * A text of the server's that follows the held rank, once every rank is trained.
 */

import { hand } from "../kit/hand.js";
import { textAt, write } from "../kit/texts.js";

export class HeldText {
  /**
   * @param {"titles"|"details"} name  of the texts among what is trained
   * @param {string} selector  of the element that holds the text
   */
  constructor(name, selector) {
    Object.assign(this, { name, selector });
    /** @type {{words: string, rank: number|null}|null} */
    this.before = null;
  }

  show() {
    const node = textAt(this.selector);
    if (!node) return;
    const texts = hand.differs(hand.shown) ? hand.trained?.[this.name] : null;
    if (texts) {
      // What Streamlit has written since, about another experiment perhaps, is what will stand again.
      if (!this.before || node.nodeValue !== this.written) {
        this.before = { words: String(node.nodeValue), rank: hand.shown };
      }
      this.written = texts[hand.place];
      write(node, this.written);
    } else if (this.before) {
      const { words, rank } = this.before;
      this.before = null;
      const place = hand.ranks?.ranks.indexOf(hand.shown ?? NaN) ?? -1;
      const now = rank === hand.shown ? words : hand.ranks?.trained?.[this.name]?.[place];
      if (now) write(node, now); // if not, another experiment is shown, and Streamlit has written of it
    }
  }
}
