/**
 * What a control of the rank reports to the server: the rank at its release, and that a hand is near.
 */

import { hand } from "../kit/hand.js";

const AGAIN = 2000; // ms before an unanswered request is repeated

/** @typedef {(name: string, value: unknown) => void} Report */

export class Requests {
  /**
   * @param {string} places  selector of the elements that a hand comes near to
   * @param {AbortSignal} signal
   */
  constructor(places, signal) {
    this.places = places;
    /** @type {{state: string, experiment: string}|null} */
    this.payload = null;
    /** @type {Report} */
    this.report = () => {}; // that of the component's last update
    for (const type of ["pointerover", "focusin", "touchstart", "pointerdown"]) {
      document.addEventListener(type, (event) => this.near(event), { signal, passive: true, capture: true });
    }
  }

  /** @param {number} rank  at which the control was released */
  choose(rank) {
    if (rank === hand.shown && (this.reported ?? rank) === rank) return;
    this.reported = rank;
    this.report("rank", rank);
  }

  /**
   * Request all ranks from the server, once, when the pointer or the focus reaches one of the places.
   * @param {Event} event
   */
  near({ target }) {
    if (this.payload?.state !== "untrained" || !(target instanceof Element)) return;
    if (!target.closest(this.places)) return;
    const now = performance.now();
    if (this.asked === this.payload.experiment && now - this.askedAt < AGAIN) return;
    Object.assign(this, { asked: this.payload.experiment, askedAt: now });
    this.report("near", this.payload.experiment);
  }
}
