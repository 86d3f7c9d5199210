/**
 * The time machine: five maps, the scale that they share, and a transport that moves through the run.
 */

import { element, stylesheet } from "../kit/dom.js";
import { listenForSpace } from "../kit/keys.js";
import { mounting } from "../kit/mount.js";
import { sameBytes, unpack } from "../kit/series.js";
import { readTheme, themed } from "../kit/theme.js";
import { Player } from "../playback/player.js";
import { Transport, transportStyled } from "../playback/transport.js";
import { Maps, signedText } from "./maps.js";
import { KeptMatrices } from "./matrices.js";
// Imports of those modules, repeated here so that all are fetched at once and not one after another.
import "./heatmap.js";

/** @typedef {(name: string, value: unknown) => void} Report */

const CONTRASTS = [1, 2, 4, 8];
/** Contrast at first: at 1 the few largest weights would leave all others pale. */
const CONTRAST = 2;

class TimeMachine {
  /** @param {Node} parent */
  constructor(parent) {
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    this.player = new Player((head, playing) => this.show(playing));
    this.transport = new Transport(this.player, (place) => this.report(place), signal);
    this.readout = element("p", { class: "readout" });
    this.note = element("p", { class: "note" });
    this.maps = new Maps((words) => (this.readout.textContent = words || this.hint), signal);
    this.build(signal);
    this.root = element(
      "div",
      { class: "time-machine", "data-testid": "time-machine" },
      this.maps.root,
      this.scaleBar,
      this.transport.root,
      this.note,
    );
    this.root.style.visibility = "hidden"; // until the first drawing
    parent.appendChild(this.root);
    listenForSpace(() => !this.transport.play.disabled && this.player.toggle(), signal);
    this.watcher = new ResizeObserver(() => this.maps.fit());
    this.watcher.observe(this.root);
  }

  /** @param {AbortSignal} signal */
  build(signal) {
    this.low = element("span");
    this.high = element("span");
    const bar = element("span", { class: "bar" });
    const choices = CONTRASTS.map((factor) => element("option", { value: String(factor) }, `${factor}×`));
    this.contrast = /** @type {HTMLSelectElement} */ (element("select", { "aria-label": "Contrast" }, ...choices));
    this.contrast.value = String(CONTRAST);
    this.contrast.addEventListener("change", () => this.paint(), { signal });
    const scale = element("span", { class: "scale" }, this.low, bar, this.high);
    this.scaleBar = element(
      "div",
      { class: "legend" },
      scale,
      element("label", {}, "Contrast ", this.contrast),
      this.readout,
    );
  }

  /**
   * @param {{data: Uint8Array, setTriggerValue: Report}} component
   */
  async update({ data: bytes, setTriggerValue }) {
    this.setTriggerValue = setTriggerValue;
    if (sameBytes(this.bytes, bytes)) return this.dress();
    this.bytes = bytes;
    const payload = /** @type {any} */ (await unpack(bytes));
    if (this.bytes !== bytes) return; // overtaken by a newer run
    this.payload = payload;
    this.hint = "One scale for all five. Point at a cell to read it.";
    this.readout.textContent = this.hint;
    this.note.textContent = payload.note;
    this.note.hidden = !payload.note;
    this.wear(readTheme(this.root));
    this.maps.load(new KeptMatrices(payload));
    const last = payload.updates.length - 1;
    this.transport.load(last);
    const { playing } = this.player;
    this.player.load(last);
    if (!playing) this.player.seek(payload.opensAt);
    this.transport.settle();
    Object.assign(this.root.dataset, { run: payload.run, epochs: String(payload.updates[last]) });
    this.root.style.visibility = "";
  }

  /** Repaint if the theme is not that of the last painting. */
  dress() {
    if (!this.payload) return;
    const theme = readTheme(this.root);
    if (theme.dark !== this.theme.dark) {
      this.wear(theme);
      this.paint();
    }
  }

  /** @param {import("../kit/theme.js").Theme} theme */
  wear(theme) {
    this.theme = theme;
    this.stops = themed(this.payload.colors, this.payload.dark, theme);
    this.root.style.setProperty("--colors", this.stops.join(", "));
  }

  /** @param {boolean} playing */
  show(playing) {
    if (!this.payload) return;
    this.shown = this.player.epoch;
    const { updates, epochs, losses } = this.payload;
    const epoch = updates[this.shown];
    this.paint();
    const words = `after ${epoch} of ${epochs} ${epochs === 1 ? "update" : "updates"}`;
    this.transport.show(this.shown, playing, `${words}, error ${losses[this.shown]}`, words);
    Object.assign(this.root.dataset, { epoch: String(epoch), state: playing ? "playing" : "paused" });
  }

  paint() {
    const { scale } = this.payload;
    const strongest = scale / Number(this.contrast.value);
    this.maps.show(this.shown, this.stops, strongest);
    const beyond = strongest < scale;
    this.low.textContent = `${beyond ? "≤ " : ""}${signedText(-strongest)}`;
    this.high.textContent = `${beyond ? "≥ " : ""}+${signedText(strongest)}`;
  }

  /**
   * Report the chosen epoch to the page, whose other parts follow it.
   * @param {number} place  on the scrub bar
   */
  report(place) {
    this.setTriggerValue("epoch", this.payload.updates[place]);
  }

  destroy() {
    this.listeners.abort();
    this.watcher.disconnect();
    this.player.destroy();
    this.transport.destroy();
    this.root.remove();
  }
}

const styled = Promise.all([stylesheet("time_machine.css", import.meta.url), transportStyled]);
export default mounting((parent) => new TimeMachine(parent), styled);
