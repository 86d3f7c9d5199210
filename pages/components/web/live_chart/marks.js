/**
 * Changes in the middle of the run: an upright line at each, with its words, and a grip on the axis to drag it.
 */

import { svg } from "../kit/dom.js";

const ROWS = 4; // rows of words at the top, so that neighbours do not overlap

export class Marks {
  /** @param {(place: number, update: number) => void} moved  called when a mark was dragged to another update */
  constructor(moved) {
    this.moved = moved;
    this.root = svg("g", { class: "marks" });
  }

  /**
   * @param {[number, string][]} marks  update and words of each
   * @param {{x: any, y: any}} axes  Plotly's, after it has drawn
   */
  place(marks, axes) {
    this.axes = axes;
    this.root.replaceChildren(...marks.map((mark, place) => this.mark(mark, place)));
  }

  /**
   * @param {[number, string]} mark
   * @param {number} place
   */
  mark([update, words], place) {
    const { x, y } = this.axes;
    const across = x.c2p(update);
    const seen = across >= -0.5 && across <= x._length + 0.5;
    const late = across > x._length * 0.7;
    const look = { x: late ? -5 : 5, y: `${1.4 + 1.25 * (place % ROWS)}em`, "text-anchor": late ? "end" : "start" };
    const text = svg("text", look);
    text.textContent = words;
    const touch = svg("rect", { x: -14, y: -18, width: 28, height: 32 }); // larger than the arrow, for a finger
    const grip = svg("g", { class: "grip" }, touch, svg("path", { d: "M0,-9L7,3H-7Z" }));
    grip.setAttribute("transform", `translate(0,${y._length})`);
    const title = svg("title");
    title.textContent = `After update ${update}: ${words}. Drag it along the axis.`;
    grip.append(title);
    const line = svg("line", { y1: 0, y2: y._length });
    const node = svg("g", { class: "mark", "data-update": update, visibility: seen ? "visible" : "hidden" }, line, text, grip);
    node.setAttribute("transform", `translate(${across})`);
    grip.addEventListener("pointerdown", (event) => this.drag(event, node, place, update));
    return node;
  }

  /**
   * @param {PointerEvent} event
   * @param {SVGElement} node
   * @param {number} place
   * @param {number} update
   */
  drag(event, node, place, update) {
    if (event.button) return;
    event.stopPropagation(); // the plot below would scrub
    event.preventDefault();
    const { x } = this.axes;
    const ends = new AbortController();
    const start = event.clientX - x.c2p(update);
    let now = update;
    const on = (type, act) =>
      addEventListener(type, (next) => next.pointerId === event.pointerId && act(next), { signal: ends.signal });
    const put = (at) => {
      now = Math.round(x.p2c(Math.max(0, Math.min(x._length, at))));
      node.setAttribute("transform", `translate(${x.c2p(now)})`);
    };
    on("pointermove", (next) => put(next.clientX - start));
    on("pointerup", () => {
      ends.abort();
      if (now !== update) this.moved(place, now);
    });
    on("pointercancel", () => {
      ends.abort();
      put(x.c2p(update));
    });
  }
}
