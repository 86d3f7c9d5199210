/**
 * Views beside the live chart of a network: words, modules, the plane. Each follows the chart's scrub bar, and the
 * held rank once every rank is trained.
 */

import { element, stylesheet } from "../kit/dom.js";
import { hand } from "../kit/hand.js";
import { mounting } from "../kit/mount.js";
import { readTheme } from "../kit/theme.js";
import { followLiveChart } from "./follow.js";
import { Modules } from "./modules.js";
import { Plane } from "./plane.js";
import { Words } from "./words.js";

/** @typedef {import("../kit/theme.js").Theme} Theme */
/**
 * @typedef {object} Payload
 * @property {"words"|"modules"|"plane"} kind
 * @property {string} run  fingerprint of the drawing
 * @property {string} alt  the drawing in words
 * @property {number} height  in CSS pixels
 * @property {number} rank  of the run
 * @property {Record<string, string>} colors  by role
 * @property {Record<string, string>} dark  colour -> its twin on a dark page
 */

const KINDS = { words: Words, modules: Modules, plane: Plane };

class View {
  /** @param {Node} parent */
  constructor(parent) {
    this.root = element("div", { class: "network-view" });
    parent.appendChild(this.root);
    this.leave = followLiveChart((look) => this.show(look));
    this.listeners = new AbortController();
    hand.listen(() => this.follow(), this.listeners.signal);
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.root);
  }

  /** @param {{data: Payload, setTriggerValue: (name: string, value: unknown) => void}} component */
  update({ data: payload, setTriggerValue }) {
    this.setTriggerValue = setTriggerValue;
    this.payload = payload;
    this.part ??= new KINDS[payload.kind](this.root, (name) => this.setTriggerValue("module", name));
    this.root.dataset.testid = `network-${payload.kind}`;
    this.root.style.setProperty("--height", `${payload.height}px`);
    this.root.setAttribute("aria-label", payload.alt);
    this.root.setAttribute("role", payload.kind === "modules" ? "group" : "figure");
    this.draw();
    this.root.dataset.run = payload.run;
    if (payload.kind === "words") hand.show(payload.rank, null); // one of them tells it for all
  }

  /** The drawing of the held rank, or null for the run's own. */
  get held() {
    const { kind, rank } = this.payload;
    const trained = /** @type {any} */ (hand.differs(rank) ? hand.trained : null);
    return trained?.[kind]?.[hand.place] ?? null;
  }

  follow() {
    if (this.payload && this.held !== this.holding) this.draw();
  }

  draw() {
    const { width } = this.root.getBoundingClientRect();
    if (!this.payload || !width) return;
    this.holding = this.held;
    this.part.draw({ ...this.payload, ...this.holding }, readTheme(this.root), width);
    this.drawn = true;
    this.show(this.look ?? Infinity);
  }

  /** @param {number} look  the point of the curves that is shown */
  show(look) {
    this.look = look;
    if (this.drawn) this.part.show(look);
    this.root.dataset.look = String(look);
  }

  destroy() {
    this.leave();
    this.listeners.abort();
    this.watcher.disconnect();
    this.root.remove();
  }
}

export default mounting((parent) => new View(parent), stylesheet("network.css", import.meta.url));
