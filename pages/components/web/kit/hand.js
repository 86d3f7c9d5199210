/**
 * The rank under the hand, for all parts of the page: one control moves them all, in the same frame.
 *
 * Three ranks are told apart: `shown`, of the run whose words the server has sent last; `drawn`, of the run that
 * the live chart has drawn; and `held`, which a hand has chosen since and nobody has confirmed yet. A part of the
 * page shows the held rank, out of a sweep, for as long as its own is another one.
 */

const LINGER = 1200; // ms after the last move for which an older answer may still arrive
const PATIENCE = 8000; // ms after which a rank that is never confirmed is given up

/**
 * @typedef {object} Trained  of every rank, in the order of `ranks`
 * @property {ArrayLike<number>[]} curves
 * @property {(number|null)[]} finals
 * @property {(number|null)[]} tests  the error on new data at the end
 * @property {string[]} titles
 * @property {string[]} details
 * @property {[string, string][][]} numbers
 * @property {{guesses: ArrayLike<number>, right: ArrayLike<number>}} [digits]
 */
/** @typedef {{experiment: string, ranks: number[], floors: (number|null)[]|null, trained: Trained|null}} Ranks */

export class Hand {
  constructor() {
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    /** @type {Ranks|null} */
    this.ranks = null;
    /** @type {number|null} */
    this.shown = null;
    /** @type {number|null} */
    this.drawn = null;
    /** @type {number|null} */
    this.held = null;
    this.pressed = false;
    for (const [type, down] of /** @type {[string, boolean][]} */ ([
      ["pointerdown", true],
      ["pointerup", false],
      ["pointercancel", false],
    ])) {
      addEventListener(type, () => (this.pressed = down), { capture: true });
    }
  }

  /**
   * @param {() => void} listener  called when any of the ranks, or what is known of them, has changed
   * @param {AbortSignal} signal
   */
  listen(listener, signal) {
    this.listeners.add(listener);
    signal.addEventListener("abort", () => this.listeners.delete(listener));
  }

  notify() {
    for (const listener of this.listeners) listener();
  }

  /** The rank that the page shows. */
  get rank() {
    return this.held ?? this.shown;
  }

  /** @param {number|null} own  the rank that a part of the page shows by itself */
  differs(own) {
    return this.held !== null && this.held !== own;
  }

  /** Place of the held rank among all, or -1; what was trained is read there. */
  get place() {
    return this.ranks && this.held !== null ? this.ranks.ranks.indexOf(this.held) : -1;
  }

  /** What came of the held rank, if every rank is trained. */
  get trained() {
    return this.place < 0 ? null : this.ranks.trained;
  }

  /** @param {Ranks} ranks  of the experiment shown */
  load(ranks) {
    if (this.ranks?.experiment !== ranks.experiment && !this.pressed) this.held = null;
    this.ranks = ranks;
    this.notify();
  }

  /**
   * The server's words for a run have come.
   * @param {number} rank
   * @param {number|null} final  its last error
   */
  show(rank, final) {
    this.shown = rank;
    this.final = final;
    this.notify();
  }

  /**
   * The live chart has drawn a run.
   * @param {number} rank
   */
  draw(rank) {
    this.drawn = rank;
    this.notify();
  }

  /** @param {number} rank  chosen by a hand on any control */
  hold(rank) {
    if (rank === this.held || (this.held === null && rank === this.rank)) return;
    this.held = rank;
    this.since = performance.now();
    this.settle();
    this.notify();
  }

  /** Let go of the held rank once it is confirmed and nothing older can arrive. */
  settle() {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      const waited = performance.now() - this.since;
      const confirmed = this.held === this.shown && (this.drawn === null || this.drawn === this.held);
      if (this.pressed || (!confirmed && waited < PATIENCE)) return this.settle();
      this.held = null;
      this.notify();
    }, LINGER);
  }

  /** Go back to the rank that is shown, as the browser has taken the gesture away. */
  giveUp() {
    clearTimeout(this.settling);
    this.held = null;
    this.notify();
  }
}

export const hand = new Hand();
