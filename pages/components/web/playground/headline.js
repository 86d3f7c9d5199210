/**
 * Headline of the held rank, in place of the one that the server has written about its run.
 *
 * The server's headline stays in the page, where it is readable before any module has loaded; it is hidden as long
 * as another rank is held.
 */

import { element } from "../kit/dom.js";
import { hand } from "../kit/hand.js";

export class Headline {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.title = element("h1");
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
