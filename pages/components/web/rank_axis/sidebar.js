/**
 * A Rank slider of the sidebar: its value during a drag becomes the held rank, and it shows the rank held by the other
 * control.
 *
 * Streamlit sends a slider's value at its release only (since streamlit PR 11879; seen in 1.67.0), but writes the
 * value of a drag into `aria-valuetext`. A rank of the other control changes only the thumb's place and number, not
 * `aria-valuetext`, so the two are not confused.
 */

import { hand } from "../kit/hand.js";

export const SLIDER = `.st-key-rank`;

export class Sidebar {
  /**
   * @param {AbortSignal} signal
   * @param {string} [slider]  selector of the slider
   */
  constructor(signal, slider = SLIDER) {
    this.input = `${slider} input[type=range]`;
    this.observer = new MutationObserver((changes) => this.changed(changes));
    this.observer.observe(document.body, { subtree: true, attributes: true, attributeFilter: ["aria-valuetext"] });
    signal.addEventListener("abort", () => this.observer.disconnect());
    hand.listen(() => this.show(), signal);
  }

  /** @param {MutationRecord[]} changes */
  changed(changes) {
    const moved = changes.find(({ target }) => /** @type {Element} */ (target).matches(this.input));
    if (!moved || !(hand.pressed || moved.target === document.activeElement)) return; // the server moved it
    const rank = Number(/** @type {Element} */ (moved.target).getAttribute("aria-valuetext"));
    if (Number.isInteger(rank) && rank > 0) hand.hold(rank);
  }

  show() {
    const input = /** @type {HTMLInputElement|null} */ (document.querySelector(this.input));
    const thumb = input?.closest("[data-rac]");
    const number = thumb?.querySelector("[data-testid=stSliderThumbValue] p")?.firstChild;
    const rank = hand.rank;
    if (!thumb || !number || rank === null || !hand.ranks) return;
    if (number.nodeValue !== String(rank)) number.nodeValue = String(rank);
    const place = hand.ranks.ranks.indexOf(rank);
    const last = Number(input.max);
    if (place < 0 || last !== hand.ranks.ranks.length - 1) return; // a value between two options, or options that have not arrived yet
    const left = `${(100 * place) / last}%`;
    const style = /** @type {HTMLElement} */ (thumb).style;
    if (Math.abs(parseFloat(style.left) - parseFloat(left)) > 1e-3) style.left = left;
    const track = /** @type {HTMLElement|null} */ (thumb.previousElementSibling);
    if (track) this.fill(track, Number(input.value) === place ? null : left);
  }

  /**
   * @param {HTMLElement} track
   * @param {string|null} to  null: the background that Streamlit draws
   */
  fill(track, to) {
    if (to === null) {
      track.style.removeProperty("background-image");
      return;
    }
    track.style.removeProperty("background-image");
    const own = getComputedStyle(track).backgroundImage;
    track.style.backgroundImage = own.replace(/[\d.]+%/g, (each) => (each === "0%" || each === "100%" ? each : to));
  }
}
