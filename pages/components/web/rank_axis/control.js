/**
 * The control under the axis of ranks: a slider as wide as the axis, 44 pixels high, that reports every move.
 *
 * A drag on the panels above it moves it too; a vertical one by touch scrolls the page and changes nothing.
 */

import { element } from "../kit/dom.js";

const SIDEWAYS = 8; // pixels that a touch moves sideways before it holds the rank
const REST = 350; // ms after the last key before the rank counts as chosen

export class Control {
  /**
   * @param {HTMLElement} plots  the panels
   * @param {{hold: (rank: number) => void, choose: (rank: number) => void, giveUp: () => void}} act
   */
  constructor(plots, act) {
    this.act = act;
    this.fill = element("div", { class: "fill" });
    this.knob = element("div", { class: "knob" });
    this.track = element("div", { class: "track" }, this.fill);
    const look = { class: "slider", role: "slider", tabindex: "0", "aria-label": "Rank handle" };
    this.slider = element("div", look, this.track, this.knob);
    this.root = element("div", { class: "control" }, element("span", { class: "word" }, "Rank"), this.slider);
    this.follow(this.slider, 0);
    this.follow(plots, SIDEWAYS);
    this.slider.addEventListener("keydown", (event) => this.key(event));
  }

  /**
   * @param {import("./scale.js").RankScale} x
   * @param {number} left  place of the slider's left edge on the scale, in pixels
   */
  place(x, left) {
    this.x = x;
    this.left = left;
    const { ranks } = x;
    Object.assign(this.track.style, { left: `${x.left - left}px`, width: `${x.right - x.left}px` });
    this.slider.setAttribute("aria-valuemin", String(ranks[0]));
    this.slider.setAttribute("aria-valuemax", String(ranks[ranks.length - 1]));
  }

  /**
   * @param {number} rank
   * @param {string} words  accessible text of the rank
   */
  show(rank, words) {
    this.rank = rank;
    const across = this.x.at(rank) - this.left;
    this.knob.style.transform = `translate(${across}px, -50%)`;
    this.knob.textContent = String(rank);
    this.fill.style.width = `${this.x.at(rank) - this.x.left}px`;
    this.slider.setAttribute("aria-valuenow", String(rank));
    this.slider.setAttribute("aria-valuetext", `rank ${rank}: ${words}`);
  }

  /**
   * @param {HTMLElement} node
   * @param {number} threshold  pixels that a touch moves sideways before it holds the rank; 0: none
   */
  follow(node, threshold) {
    /** @type {{id: number, x: number, holds: boolean}|null} */
    let grip = null;
    const rankAt = (event) => this.x.nearest(event.clientX - node.getBoundingClientRect().left + (threshold ? 0 : this.left));
    const move = (event) => {
      this.wanted = rankAt(event);
      this.frame ||= requestAnimationFrame(() => {
        this.frame = 0;
        this.act.hold(this.wanted);
      });
    };
    const end = () => {
      grip = null;
      cancelAnimationFrame(this.frame);
      this.frame = 0;
    };
    node.addEventListener("pointerdown", (event) => {
      if (event.button || !this.x) return;
      grip = { id: event.pointerId, x: event.clientX, holds: !threshold || event.pointerType === "mouse" };
      node.setPointerCapture(event.pointerId);
      this.slider.focus({ preventScroll: true });
      if (grip.holds) move(event);
    });
    node.addEventListener("pointermove", (event) => {
      if (grip?.id !== event.pointerId) return;
      grip.holds ||= Math.abs(event.clientX - grip.x) >= threshold;
      if (grip.holds) move(event);
    });
    node.addEventListener("pointerup", (event) => {
      if (grip?.id !== event.pointerId) return;
      end();
      this.act.hold(rankAt(event)); // a tap that never moved counts too
      this.act.choose(rankAt(event));
    });
    node.addEventListener("pointercancel", (event) => {
      if (grip?.id !== event.pointerId) return;
      end();
      this.act.giveUp();
    });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const count = this.x.ranks.length;
    const by = {
      ArrowRight: 1,
      ArrowUp: 1,
      ArrowLeft: -1,
      ArrowDown: -1,
      PageUp: 4,
      PageDown: -4,
      Home: -count,
      End: count,
    }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    this.step(by);
  }

  /** @param {number} by  number of ranks, negative for lower ones */
  step(by) {
    const { ranks } = this.x;
    const above = ranks.findIndex((rank) => rank >= this.rank);
    const from = above < 0 ? ranks.length : ranks[above] === this.rank || by > 0 ? above : above - 1 - by;
    const between = above >= 0 && ranks[above] !== this.rank;
    const to = between ? (by > 0 ? above : above - 1) : from + by;
    const rank = ranks[Math.max(0, Math.min(ranks.length - 1, to))];
    this.act.hold(rank);
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.act.choose(rank), REST);
  }

  destroy() {
    clearTimeout(this.resting);
    cancelAnimationFrame(this.frame);
  }
}
