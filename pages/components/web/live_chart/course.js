/**
 * The choice whether changes apply from the start or from the shown update on, and what a playback does meanwhile.
 *
 * With "from here on" a control that is touched holds a running playback, so that the update is the one that was on
 * the screen; it goes on with the new run.
 */

import { element } from "../kit/dom.js";

const CONTROLS = ["rank", "learning_rate", "alpha", "scaling_rule", "optimizer", "lr_ratio"].map((key) => `.st-key-${key}`);
const TOUCHED = [".rank-axis", ...CONTROLS].join(", ");
const LIST = "[data-testid=stSelectbox]"; // whose choice takes a second touch
const PATIENCE = 1500; // ms after a touch that changed nothing until the playback goes on

export class CourseChoice {
  /**
   * @param {import("../playback/player.js").Player} player
   * @param {{choose: (here: boolean) => void, report: () => void}} act
   * @param {AbortSignal} signal
   */
  constructor(player, act, signal) {
    Object.assign(this, { player, act, here: false, holding: false });
    const option = (value, words) => element("option", { value }, words);
    const look = { class: "speed apply", "aria-label": "Changes apply", title: "What a moved control changes: the whole run, or the rest of it" };
    this.root = /** @type {HTMLSelectElement} */ (
      element("select", look, option("start", "Changes: from the start"), option("here", "Changes: from here on"))
    );
    this.root.addEventListener("change", () => act.choose(this.root.value === "here"), { signal });
    for (const type of ["pointerdown", "keydown"]) {
      document.addEventListener(type, (event) => this.touch(event), { signal, capture: true });
    }
    document.addEventListener("pointerup", () => this.holding && this.wait(), { signal, capture: true });
  }

  /** @param {boolean|null|undefined} here  null: a chart without the choice */
  load(here) {
    this.root.hidden = here == null;
    this.here = Boolean(here);
    this.root.value = here ? "here" : "start";
  }

  /** @param {Event} event */
  touch({ target, type }) {
    if (!this.here || !(target instanceof Element) || !target.closest(TOUCHED)) return;
    if (this.player.playing) {
      this.holding = true;
      this.player.pause();
    }
    this.act.report();
    this.choosing = Boolean(target.closest(LIST));
    if (type === "keydown" && this.holding) this.wait();
  }

  /** Go on after a while, unless a new run arrives first. */
  wait() {
    clearTimeout(this.waiting);
    if (!this.choosing) this.waiting = setTimeout(() => this.goOn(), PATIENCE);
  }

  goOn() {
    clearTimeout(this.waiting);
    if (!this.holding) return;
    this.holding = false;
    this.player.play();
  }

  /**
   * The update at which a drawing starts, with changes that apply from here on; null: at its end.
   * @param {number} last
   * @param {[number, string][]} marks
   * @param {boolean} before  whether they applied from here on already
   */
  start(last, marks, before) {
    if (!this.here) return null;
    const { head, last: old } = this.player;
    if (before || (old && head < old)) return Math.min(head, last);
    return marks.length ? Math.min(last, Math.max(...marks.map(([update]) => update))) : Math.round(last / 2);
  }

  destroy() {
    clearTimeout(this.waiting);
  }
}
