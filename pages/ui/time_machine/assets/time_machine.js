/**
 * The time machine, put together: five maps, the scale they share, and a transport that moves through the run.
 *
 * Streamlit calls the default export whenever the data or the theme change, always with the same parent; the
 * first call builds, later ones update. The function returned cleans up once the parent has left the page.
 * `kit` holds the live chart's modules, merged.
 */

import { Maps, numberText } from "./maps.js";
import { History } from "./matrices.js";
// What those import, named here so that all are fetched at once and not one after another.
import "./heatmap.js";

const styled = new Promise((resolve) => {
  const link = document.createElement("link");
  Object.assign(link, { rel: "stylesheet", href: new URL("time_machine.css", import.meta.url).href });
  Object.assign(link, { onload: resolve, onerror: resolve });
  document.head.append(link);
});

/**
 * @typedef {typeof import("../../live_chart/assets/dom.js") & typeof import("../../live_chart/assets/theme.js")
 *   & typeof import("../../live_chart/assets/series.js") & typeof import("../../live_chart/assets/player.js")
 *   & typeof import("../../live_chart/assets/keys.js")} Kit
 */

const CONTRASTS = [1, 2, 4, 8];
/** The few largest weights would leave all others pale. */
const CONTRAST = 2;

/** @type {WeakMap<Node, TimeMachine>} */
const mounted = new WeakMap();

class TimeMachine {
  /**
   * @param {Node} parent
   * @param {Kit} kit
   */
  constructor(parent, kit) {
    this.kit = kit;
    this.calls = 0;
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    const { element } = kit;
    this.player = new kit.Player((head, playing) => this.show(playing));
    this.readout = element("p", { class: "readout" });
    this.note = element("p", { class: "note" });
    this.maps = new Maps(kit, (words) => (this.readout.textContent = words || this.hint), signal);
    this.build(signal);
    this.root = element(
      "div",
      { class: "time-machine", "data-testid": "time-machine" },
      this.maps.root,
      this.scaleBar,
      this.transport,
      this.note,
    );
    this.root.style.visibility = "hidden"; // until the first drawing
    parent.appendChild(this.root);
    kit.listenForSpace(() => !this.play.disabled && this.player.toggle(), signal);
    this.watcher = new ResizeObserver(() => this.maps.fit());
    this.watcher.observe(this.root);
  }

  /** @param {AbortSignal} signal */
  build(signal) {
    const { element, iconButton } = this.kit;
    const on = (node, type, act) => node.addEventListener(type, act, { signal });
    this.play = iconButton("play", "Play");
    this.step = iconButton("step", "Step");
    this.restart = iconButton("restart", "Restart");
    this.scrub = /** @type {HTMLInputElement} */ (
      element("input", { type: "range", min: "0", step: "1", class: "scrub", "aria-label": "Epoch" })
    );
    this.count = element("output", { class: "count" });
    on(this.play, "click", () => this.player.toggle());
    on(this.step, "click", () => this.player.step());
    on(this.restart, "click", () => this.player.seek(0));
    on(this.scrub, "input", () => {
      const index = Number(this.scrub.value);
      if (this.player.playing) this.player.pause();
      this.player.seek(index);
    });
    on(this.scrub, "change", () => this.report());
    const buttons = element("div", { class: "buttons" }, this.play, this.step, this.restart);
    this.transport = element("div", { class: "transport" }, buttons, this.scrub, this.count);

    this.low = element("span");
    this.high = element("span");
    const bar = element("span", { class: "bar" });
    const choices = CONTRASTS.map((factor) => element("option", { value: String(factor) }, `${factor}×`));
    this.contrast = /** @type {HTMLSelectElement} */ (element("select", { "aria-label": "Contrast" }, ...choices));
    this.contrast.value = String(CONTRAST);
    on(this.contrast, "change", () => this.paint());
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
   * @param {Uint8Array} bytes
   * @param {(name: string, value: unknown) => void} setStateValue
   */
  async update(bytes, setStateValue) {
    this.setStateValue = setStateValue;
    if (this.kit.sameBytes(this.bytes, bytes)) return this.dress();
    this.bytes = bytes;
    const payload = /** @type {any} */ (await this.kit.unpack(bytes));
    if (this.bytes !== bytes) return; // overtaken by a newer run
    this.payload = payload;
    this.hint = "One scale for all five. Point at a cell to read it.";
    this.readout.textContent = this.hint;
    this.note.textContent = payload.note;
    this.note.hidden = !payload.note;
    this.theme = this.kit.readTheme(this.root);
    this.maps.load(new History(payload));
    const last = payload.updates.length - 1;
    this.scrub.max = String(last);
    this.play.disabled = this.step.disabled = this.restart.disabled = this.scrub.disabled = last === 0;
    this.shown = this.reported = payload.opensAt;
    this.quiet = true;
    const { playing } = this.player;
    this.player.load(last);
    if (!playing) this.player.seek(payload.opensAt);
    this.quiet = false;
    Object.assign(this.root.dataset, { run: payload.run, epochs: String(payload.updates[last]) });
    this.root.style.visibility = "";
    if (!this.painted) requestAnimationFrame(() => setTimeout(() => setStateValue("painted", true)));
    this.painted = true;
  }

  /** Put the maps into the theme of the moment, if it is not that of the last drawing. */
  dress() {
    if (!this.payload) return;
    const theme = this.kit.readTheme(this.root);
    if (theme.dark !== this.theme.dark) {
      this.theme = theme;
      this.paint();
    }
  }

  /** @param {boolean} playing */
  show(playing) {
    if (!this.payload) return;
    const stopped = this.playing && !playing;
    this.playing = playing;
    this.shown = this.player.epoch;
    const { updates, losses } = this.payload;
    const epoch = updates[this.shown];
    this.paint();
    this.scrub.value = String(this.shown);
    const share = this.shown / Math.max(1, updates.length - 1);
    this.scrub.style.setProperty("--done", `${100 * share}%`);
    const words = `after ${epoch} of ${updates.at(-1)} updates`;
    this.scrub.setAttribute("aria-valuetext", words);
    this.count.textContent = `${words}, loss ${losses[this.shown]}`;
    const name = playing ? "Pause" : "Play";
    if (this.play.getAttribute("aria-label") !== name) {
      this.play.replaceChildren(this.kit.icon(playing ? "pause" : "play"));
      this.play.setAttribute("aria-label", name);
      this.play.title = `${name} (Space)`;
    }
    Object.assign(this.root.dataset, { epoch: String(epoch), state: playing ? "playing" : "paused" });
    clearTimeout(this.telling);
    // A hand on the scrub bar is heard when it lets go; buttons are heard when they have come to rest.
    if (!this.quiet && !playing) this.telling = setTimeout(() => this.report(), stopped ? 0 : 600);
  }

  paint() {
    const { colors, scale } = this.payload;
    const strongest = scale / Number(this.contrast.value);
    const stops = this.theme.dark ? colors.dark : colors.light;
    this.maps.show(this.shown, stops, strongest);
    this.root.style.setProperty("--colors", stops.join(", "));
    const beyond = strongest < scale;
    this.low.textContent = `${beyond ? "≤ " : ""}${numberText(-strongest)}`;
    this.high.textContent = `${beyond ? "≥ " : ""}+${numberText(strongest)}`;
  }

  /** Tell the page which epoch was chosen, so that the rest of it follows. */
  report() {
    clearTimeout(this.telling);
    if (this.shown === this.reported) return;
    this.reported = this.shown;
    this.setStateValue("epoch", this.payload.updates[this.shown]);
  }

  destroy() {
    clearTimeout(this.telling);
    this.listeners.abort();
    this.watcher.disconnect();
    this.player.destroy();
    this.root.remove();
  }
}

/**
 * Clean up, but only if the parent has really gone: Streamlit also discards calls that a newer one overtook.
 * @param {Node} parent
 * @param {TimeMachine} machine
 * @param {number} call
 */
function leave(parent, machine, call) {
  if (call !== machine.calls || parent.isConnected) return;
  machine.destroy();
  mounted.delete(parent);
}

/**
 * @param {{parentElement: Node, data: Uint8Array, setStateValue: (name: string, value: unknown) => void}} component
 * @param {Kit} kit
 */
export default async function timeMachine({ parentElement, data, setStateValue }, kit) {
  await styled;
  let machine = mounted.get(parentElement);
  if (!machine) mounted.set(parentElement, (machine = new TimeMachine(parentElement, kit)));
  const call = ++machine.calls;
  await machine.update(data, setStateValue);
  return () => setTimeout(() => leave(parentElement, machine, call));
}
