/**
 * Ten held-out digits and the layer's reading of each at the current rank, marked right or wrong.
 */

import { element } from "../kit/dom.js";
import { hand } from "../kit/hand.js";

const SIDE = 8;

export class Digits {
  constructor() {
    this.root = element("div", { class: "digits", role: "img" });
    this.root.hidden = true;
  }

  /** @param {{pictures: ArrayLike<number>, labels: number[]}|null} digits */
  load(digits) {
    this.digits = digits;
    this.root.hidden = !digits;
    if (!digits) return;
    this.reads = digits.labels.map(() => element("span", { class: "reads" }));
    const cells = digits.labels.map((label, place) => {
      return element("div", { class: "digit", title: `A new picture; the task calls it ${label}` }, picture(digits.pictures, place), this.reads[place]);
    });
    this.root.replaceChildren(...cells);
  }

  /** @param {number} place  of the rank; -1 if its readings are not known */
  show(place) {
    if (!this.digits) return;
    const trained = hand.ranks?.trained?.digits;
    const { labels } = this.digits;
    let count = 0;
    this.reads.forEach((node, index) => {
      const guess = trained && place >= 0 ? trained.guesses[place * labels.length + index] : null;
      const right = guess === labels[index];
      count += Number(right);
      node.textContent = guess === null ? "…" : `${guess}${right ? " ✓" : " ✗"}`;
      node.parentElement.dataset.right = guess === null ? "" : String(right);
    });
    this.root.setAttribute("aria-label", `Ten new digits, ${count} of them read right.`);
  }
}

/**
 * @param {ArrayLike<number>} pictures  ink of each pixel, 0..255, one picture after the other
 * @param {number} place
 */
function picture(pictures, place) {
  const canvas = /** @type {HTMLCanvasElement} */ (element("canvas", { width: String(SIDE), height: String(SIDE) }));
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIDE, SIDE);
  for (let pixel = 0; pixel < SIDE * SIDE; pixel += 1) {
    const ink = 255 - (pictures[place * SIDE * SIDE + pixel]);
    image.data.set([ink, ink, ink, 255], 4 * pixel);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
