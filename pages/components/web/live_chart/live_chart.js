/**
 * The live chart: a read-out, a plot that is drawn once a run, and a transport that plays it.
 */

import { Chart } from "./chart.js";
import { CourseChoice } from "./course.js";
import { element, stylesheet } from "../kit/dom.js";
import { listenForSpace } from "../kit/keys.js";
import { mounting } from "../kit/mount.js";
import { hand } from "../kit/hand.js";
import { Player } from "../playback/player.js";
import { Preview } from "./preview.js";
import { Readout } from "./readout.js";
import { available, sameBytes, unpack } from "../kit/series.js";
import { readTheme } from "../kit/theme.js";
import { Tools } from "./tools.js";
import { Transport, transportStyled } from "../playback/transport.js";
// Imports of those modules, repeated here so that all are fetched at once and not one after another.
import "./labels.js";
import "./layout.js";
import "./marks.js";
import "./overlay.js";
import "./quick.js";

/** @typedef {(name: string, value: unknown) => void} Report */

const REVEAL = 3.5; // seconds of a playback that starts by itself: a room waits for its end

class LiveChart {
  /**
   * @param {Node} parent
   * @param {() => Promise<any>} plotly
   */
  constructor(parent, plotly) {
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    this.player = new Player((head, playing) => this.show(head, playing));
    this.hovered = null;
    const pointed = (update) => this.hover(update);
    const moved = (place, update) => this.setTriggerValue("mark", [place, update]);
    this.chart = new Chart(plotly, pointed, (update) => this.scrub(update), moved);
    this.readout = new Readout();
    this.transport = new Transport(this.player, (epoch) => this.report(epoch), signal);
    const act = {
      log: (on) => this.setAxis(on ? "log" : "linear"),
      download: (format) => this.chart.download(format),
      full: () => this.toggleFull(),
    };
    this.tools = new Tools(act, signal);
    const choice = {
      choose: (here) => this.setTriggerValue("here", here ? "here" : "start"),
      report: () => this.transport.report(),
    };
    this.course = new CourseChoice(this.player, choice, signal);
    this.transport.root.append(this.course.root);
    this.chart.root.prepend(this.tools.axis);
    this.transport.root.append(this.tools.root);
    const body = element("div", { class: "body" }, this.readout.root, this.chart.root, this.transport.root);
    this.root = element("div", { class: "live-chart", "data-testid": "live-chart" }, body);
    this.root.style.visibility = "hidden"; // until the first drawing
    this.preview = new Preview(this.chart, this.readout);
    hand.listen(() => this.follow(), signal);
    parent.appendChild(this.root);
    listenForSpace(() => !this.transport.play.disabled && this.player.toggle(), signal);
    this.root.addEventListener("finish", () => this.player.finish(), { signal });
    document.addEventListener("fullscreenchange", () => this.dress(), { signal });
    this.watcher = new ResizeObserver(() => this.resized());
    this.watcher.observe(this.chart.root);
  }

  /**
   * @param {{data: Uint8Array, setTriggerValue: Report}} component
   */
  async update({ data: bytes, setTriggerValue }) {
    this.setTriggerValue = setTriggerValue;
    if (sameBytes(this.bytes, bytes)) return this.dress();
    this.bytes = bytes;
    const payload = await unpack(bytes);
    if (this.bytes !== bytes) return; // overtaken by a newer run
    if (!this.payload) this.kind = payload.log ? "log" : "linear";
    const before = Boolean(this.payload?.here);
    this.payload = payload;
    this.course.load(payload.here);
    this.root.style.setProperty("--height", `${payload.height}px`);
    this.chart.root.setAttribute("role", "figure");
    this.chart.root.setAttribute("aria-label", payload.alt);
    this.tools.log.checked = this.kind === "log";
    const last = available(payload.figure);
    this.root.dataset.plays = payload.play;
    const plays = Boolean(payload.play) && payload.play !== this.played && !payload.streaming;
    if (payload.streaming && this.player.playing) this.player.pause();
    this.transport.load(last, payload.streaming);
    this.readout.load(payload.figure.data, payload); // before the drawing, since the rows decide the plot's height
    const start = this.course.start(last, payload.marks ?? [], before);
    this.player.load(last, start ?? (plays ? 0 : last));
    if (start === null || before) this.transport.settle();
    await this.draw();
    if (this.payload !== payload) return;
    this.played = payload.play;
    Object.assign(this.root.dataset, { run: payload.run, epochs: String(last) });
    this.root.style.visibility = "";
    if (plays) this.player.play(REVEAL);
    else this.course.goOn();
  }

  async draw() {
    const { payload } = this;
    this.theme = readTheme(this.root);
    await this.chart.draw(payload, this.theme, this.kind);
    if (this.payload !== payload) return; // overtaken by a newer run
    this.readout.load(this.chart.traces, payload);
    this.hover(null);
    this.readout.show(this.player.epoch);
    this.preview.show();
    if (this.payload.rank != null) hand.draw(this.payload.rank);
    await this.dress(); // the stage's stylesheet may have come while plotly.js was started
  }

  /** Show the held rank, if it is not the run's. */
  follow() {
    const before = this.preview.on;
    this.preview.show();
    if (!before && !this.preview.on) return;
    this.chart.overlay.reveal(this.player.head);
    this.readout.show(this.hovered ?? this.player.epoch);
  }

  /** Redraw if the theme is not that of the last drawing. */
  dress() {
    if (!this.payload) return;
    const theme = readTheme(this.root);
    if (JSON.stringify(theme) !== JSON.stringify(this.theme)) return this.draw();
  }

  resized() {
    cancelAnimationFrame(this.resizing);
    this.resizing = requestAnimationFrame(() => {
      const { width, height } = this.chart.root.getBoundingClientRect();
      const { layout } = this.chart.div;
      if (!layout || !width) return;
      if (layout.width !== width || layout.height !== height) this.draw();
      else this.dress();
    });
  }

  /**
   * @param {number} head
   * @param {boolean} playing
   */
  show(head, playing) {
    const epoch = this.player.epoch;
    this.chart.reveal(head);
    if (epoch !== this.epoch || playing !== this.playing || !playing) {
      if (epoch !== this.epoch || playing) this.hover(null);
      Object.assign(this, { epoch, playing });
      this.readout.show(this.hovered ?? epoch);
      this.transport.show(epoch, playing, ...this.counted(epoch));
      const state = this.payload.streaming ? "streaming" : playing ? "playing" : "paused";
      Object.assign(this.root.dataset, { epoch: String(epoch), state });
    }
  }

  /**
   * The transport's visible and accessible text for a point, if points are not single updates.
   * @param {number} epoch
   */
  counted(epoch) {
    const { places } = this.payload;
    if (!places) return [];
    const last = places.at(-1);
    return [`${places[epoch]} / ${last}`, `${places[epoch]} of ${last} updates`];
  }

  /**
   * Show the update under the pointer in the read-out, unless a playback is running.
   * @param {number|null} update
   */
  hover(update) {
    const wanted = this.player.playing || update === null ? null : Math.min(update, this.player.last);
    if (wanted === this.hovered) return;
    this.hovered = wanted;
    this.chart.overlay.point(wanted);
    this.readout.show(wanted ?? this.player.epoch);
  }

  /** @param {number} update  dragged to on the plot */
  scrub(update) {
    if (this.player.playing) this.player.pause();
    this.player.seek(update);
  }

  /** @param {"log"|"linear"} kind */
  setAxis(kind) {
    this.kind = kind;
    this.draw();
  }

  /** @param {number} epoch  chosen by playback or scrub bar */
  report(epoch) {
    if (this.payload.report) this.setTriggerValue("epoch", epoch);
  }

  toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen?.();
  }

  destroy() {
    this.listeners.abort();
    this.watcher.disconnect();
    cancelAnimationFrame(this.resizing);
    this.player.destroy();
    this.transport.destroy();
    this.course.destroy();
    this.chart.destroy();
    this.root.remove();
  }
}

const styled = Promise.all([stylesheet("live_chart.css", import.meta.url), transportStyled]);

export default mounting((parent, plotly) => new LiveChart(parent, plotly), styled);
