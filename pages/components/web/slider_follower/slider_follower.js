/**
 * What follows one of Streamlit's sliders while it is dragged: texts, the bars of a spectrum, a point in a chart.
 *
 * Streamlit sends nothing before the release, but moves its range input and writes what it stands at into
 * `aria-valuetext`. What each place of the slider comes to was sent ahead; here it is only picked, and written over
 * what the server has drawn, in the same frame. What the server draws after the release is the same.
 */

import { element } from "../kit/dom.js";
import { Hand } from "../kit/hand.js";
import { mounting } from "../kit/mount.js";
import { sameBytes, unpack } from "../kit/series.js";
import { afterTexts, textAt, write } from "../kit/texts.js";

/**
 * @typedef {object} Payload
 * @property {string} name  of the slider
 * @property {string} slider  selector of what holds it
 * @property {number} at  the place that the server has drawn
 * @property {Record<string, string[]>} texts  selector -> the text at each place
 * @property {[string, number[]]} bars  selector of the chart, and how many of its bars are kept at each place
 * @property {[string, ([number, number]|null)[]]} points  selector of the chart, and where its last trace stands
 * @property {string} waiting  selector of what cannot follow
 */

const PALE = "0.33"; // as Streamlit shows what is out of date

const hand = new Hand(); // which holds a place of the slider, not a rank

class SliderFollower {
  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    this.root = element("div", { "data-testid": "slider-follower" });
    parent.appendChild(this.root);
    const room = /** @type {HTMLElement|null} */ (parent.closest("[data-testid=stElementContainer]"));
    if (room) room.style.display = "none";
    this.observer = new MutationObserver((changes) => this.changed(changes));
    // A chart's `data-run` changes when it has been drawn anew, by an older answer perhaps.
    const watched = ["aria-valuetext", "data-run"];
    this.observer.observe(document.body, { subtree: true, attributes: true, attributeFilter: watched });
    afterTexts(() => hand.differs(null) && this.show(), signal);
    hand.listen(() => this.show(), signal);
  }

  /** @param {{data: Uint8Array}} component */
  async update({ data: bytes }) {
    if (sameBytes(this.bytes, bytes)) return;
    this.bytes = bytes;
    const payload = /** @type {any} */ (await unpack(bytes));
    if (this.bytes !== bytes) return; // overtaken by a newer one
    const another = payload.name !== this.payload?.name;
    this.payload = payload;
    hand.shown = payload.at;
    if (another) hand.giveUp();
    else hand.notify();
    this.root.dataset.at = String(payload.at);
  }

  /** @param {MutationRecord[]} changes */
  changed(changes) {
    if (!this.payload) return;
    const input = `${this.payload.slider} input[type=range]`;
    const moved = changes.find(({ target }) => /** @type {Element} */ (target).matches(input));
    if (!moved) return void (hand.differs(null) && this.show());
    const slider = /** @type {HTMLInputElement} */ (moved.target);
    if (!(hand.pressed || slider === document.activeElement)) return; // the server moved it
    // Another slider is on its way if its places are others.
    if (Number(slider.max) === this.payload.bars[1].length - 1) hand.hold(Number(slider.value));
  }

  show() {
    const place = hand.rank;
    if (!this.payload || place === null || (place === hand.shown && this.written === undefined)) return;
    this.written = place;
    for (const [selector, texts] of Object.entries(this.payload.texts)) write(textAt(selector), texts[place]);
    this.showBars(place);
    this.showPoint(place);
    const waiting = /** @type {HTMLElement|null} */ (document.querySelector(this.payload.waiting));
    if (waiting) waiting.style.opacity = place === hand.shown ? "" : PALE;
    if (hand.held === null) this.written = undefined; // what the server has drawn stands again
  }

  /** @param {number} place */
  showBars(place) {
    const [chart, kept] = this.payload.bars;
    document.querySelectorAll(`${chart} .barlayer .trace.bars`).forEach((trace, dropped) => {
      trace.querySelectorAll(".point > path").forEach((bar, index) => {
        const opacity = index < kept[place] === !dropped ? "1" : "0";
        const { style } = /** @type {SVGElement} */ (bar);
        if (style.opacity !== opacity) style.opacity = opacity;
      });
    });
  }

  /** @param {number} place */
  showPoint(place) {
    const [chart, points] = this.payload.points;
    const div = /** @type {any} */ (document.querySelector(`${chart} .js-plotly-plot`));
    const mark = div?.querySelector(".scatterlayer .trace:last-child .point");
    const { xaxis, yaxis } = div?._fullLayout ?? {};
    if (!mark || !points[place]) return;
    const [x, y] = points[place];
    mark.setAttribute("transform", `translate(${xaxis.c2p(x)},${yaxis.c2p(y)})`);
  }

  destroy() {
    this.listeners.abort();
    this.observer.disconnect();
    hand.giveUp();
    this.root.remove();
  }
}

export default mounting((parent) => new SliderFollower(parent));
