/**
 * A text of the server's that follows the held rank, once every rank is trained.
 *
 * Streamlit's own text node stays in place and is written into; after the release Streamlit writes the same.
 */

import { hand } from "../kit/hand.js";

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
    const drawn = document.querySelector(this.selector);
    const node = drawn && document.createTreeWalker(drawn, NodeFilter.SHOW_TEXT).nextNode();
    if (!node) return;
    const texts = hand.differs(hand.shown) ? hand.trained?.[this.name] : null;
    if (texts) {
      this.before ??= { words: String(node.nodeValue), rank: hand.shown };
      write(node, texts[hand.place]);
    } else if (this.before) {
      const { words, rank } = this.before;
      this.before = null;
      const place = hand.ranks?.ranks.indexOf(hand.shown ?? NaN) ?? -1;
      const now = rank === hand.shown ? words : hand.ranks?.trained?.[this.name]?.[place];
      if (now) write(node, now); // if not, another experiment is shown, and Streamlit has written of it
    }
  }
}

/**
 * @param {Node} node
 * @param {string} words
 */
function write(node, words) {
  if (node.nodeValue !== words) node.nodeValue = words;
}
