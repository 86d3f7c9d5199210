/**
 * What goes with the live chart of a network: words, modules, the plane. Each follows the chart's scrub bar.
 *
 * Streamlit calls the default export whenever the data or the theme change, always with the same parent; the
 * first call builds, later ones update. The function returned cleans up once the parent has left the page.
 */

import { element, stylesheet } from "../kit/dom.js";
import { readTheme } from "../kit/theme.js";
import { followLiveChart } from "./follow.js";
import { Modules } from "./modules.js";
import { Plane } from "./plane.js";
import { Words } from "./words.js";

/** @typedef {import("../kit/theme.js").Theme} Theme */
/**
 * @typedef {object} Payload
 * @property {"words"|"modules"|"plane"} kind
 * @property {string} run  names what is shown
 * @property {string} alt  what is shown, in words
 * @property {number} height  in CSS pixels
 * @property {Record<string, string>} colors  lora, full, base
 * @property {Record<string, string>} dark  colour -> its twin on a dark page
 */

const KINDS = { words: Words, modules: Modules, plane: Plane };

/** @type {WeakMap<Node, View>} */
const mounted = new WeakMap();

class View {
  /**
   * @param {Node} parent
   * @param {Payload} payload
   */
  constructor(parent, payload) {
    this.calls = 0;
    this.root = element("div", { class: "network-view", "data-testid": `network-${payload.kind}` });
    this.part = new KINDS[payload.kind](this.root, (name) => this.setTriggerValue?.("module", name));
    parent.appendChild(this.root);
    this.leave = followLiveChart((look) => this.show(look));
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.root);
  }

  /**
   * @param {Payload} payload
   * @param {(name: string, value: unknown) => void} setTriggerValue
   */
  update(payload, setTriggerValue) {
    this.setTriggerValue = setTriggerValue;
    this.payload = payload;
    this.root.style.setProperty("--height", `${payload.height}px`);
    this.root.setAttribute("aria-label", payload.alt);
    this.root.setAttribute("role", payload.kind === "modules" ? "group" : "figure");
    this.draw();
    this.root.dataset.run = payload.run;
  }

  draw() {
    const { width } = this.root.getBoundingClientRect();
    if (!this.payload || !width) return;
    this.part.draw(this.payload, readTheme(this.root), width);
    this.show(this.look ?? Infinity);
  }

  /** @param {number} look  the point of the curves that is shown */
  show(look) {
    this.look = look;
    if (this.payload) this.part.show(look);
    this.root.dataset.look = String(look);
  }

  destroy() {
    this.leave();
    this.watcher.disconnect();
    this.root.remove();
  }
}

const styled = stylesheet("network.css", import.meta.url);

/**
 * @param {{parentElement: Node, data: Payload, setTriggerValue: (name: string, value: unknown) => void}} component
 */
export default async function networkView({ parentElement, data, setTriggerValue }) {
  await styled;
  let view = mounted.get(parentElement);
  if (!view) mounted.set(parentElement, (view = new View(parentElement, data)));
  const call = ++view.calls;
  view.update(data, setTriggerValue);
  return () =>
    setTimeout(() => {
      if (call !== view.calls || parentElement.isConnected) return;
      view.destroy();
      mounted.delete(parentElement);
    });
}
