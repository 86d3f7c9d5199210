/**
 * The held rank: set by a control in the browser, shown by all parts of the page in the same frame.
 *
 * Three ranks are distinguished: `shown`, of the run whose numbers the server has sent last; `drawn`, of the run
 * that the live chart has drawn; and `held`, set by a control since and not confirmed by either yet. A part of the
 * page shows the held rank, from a sweep, as long as its own rank is another one.
 */

const LINGER = 1200; // ms after the last move during which an older answer may still arrive
const PATIENCE = 8000; // ms after which a rank that was never confirmed is dropped

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

  /** Rank that the page shows. */
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

  /** Results of the held rank, if every rank is trained. */
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
   * Record that the server has sent the numbers of a run.
   * @param {number} rank
   * @param {number|null} final  its last error
   */
  show(rank, final) {
    this.shown = rank;
    this.final = final;
    this.notify();
  }

  /**
   * Record that the live chart has drawn a run.
   * @param {number} rank
   */
  draw(rank) {
    this.drawn = rank;
    this.notify();
  }

  /** @param {number} rank  set by any control */
  hold(rank) {
    if (rank === this.held || (this.held === null && rank === this.rank)) return;
    this.held = rank;
    this.since = performance.now();
    this.settle();
    this.notify();
  }

  /** Release the held rank once it is confirmed and no older answer can arrive. */
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

  /** Return to the shown rank, since the browser has cancelled the gesture. */
  giveUp() {
    clearTimeout(this.settling);
    this.held = null;
    this.notify();
  }
}

export const hand = new Hand();
