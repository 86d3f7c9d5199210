/**
 * The headline of the rank that a hand holds, laid over the one that the server has written of its run.
 *
 * The server's stays in the page, so that it is there before any module and what the page says by itself; it is
 * unseen for as long as a hand holds another rank.
 */

import { element } from "../kit/dom.js";
import { hand } from "../kit/hand.js";

export class Headline {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.title = element("h3");
    this.detail = element("p");
    this.root = element("div", { class: "held", "aria-live": "polite" }, this.title, this.detail);
    hand.listen(() => this.show(), signal);
    signal.addEventListener("abort", () => this.root.remove());
  }

  show() {
    const place = document.querySelector(".st-key-verdict");
    if (!place) return;
    const trained = hand.differs(hand.shown) ? hand.trained : null;
    if (trained) {
      this.title.textContent = trained.titles[hand.place];
      this.detail.textContent = trained.details[hand.place];
      if (this.root.parentElement !== place) place.append(this.root);
    } else this.root.remove();
    place.classList.toggle("is-held", Boolean(trained));
  }
}
