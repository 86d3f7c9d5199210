/**
 * All ranks in one figure that Plotly draws once a sweep, and a handle that moves over it.
 *
 * Everything that depends on the rank is placed over the axes or beside them: one path, a few attributes and some
 * words a frame. A move makes no drawing of Plotly's and sends nothing; the release of the handle is reported to the
 * server. The curve of the rank is on the figure's second panel.
 */

import { element, stylesheet, svg } from "../kit/dom.js";
import { mounting } from "../kit/mount.js";
import { sameBytes, unpack } from "../kit/series.js";
import { readTheme, themed, themedFigure } from "../kit/theme.js";
import { Curve } from "./curve.js";
import { Handle } from "./handle.js";
import { Words } from "./words.js";

const NARROW = 560; // CSS pixels: in a narrower chart the two panels are one above the other
const TALL = 560; // CSS pixels: height of both panels then
const PATIENCE = 350; // ms after the last key before the rank is reported to the server

/** @type {Map<string, RankChart>} the charts on the page, by their keys */
const charts = new Map();
/** @type {Map<string, number>} the experiment's rank, by the key of the chart */
const chosen = new Map();

/**
 * Set the rank of the experiment, which has a message of its own: a new rank sends a few bytes, not the figure.
 * @param {string} key  of the chart
 * @param {number} rank
 */
export function choose(key, rank) {
  chosen.set(key, rank);
  charts.get(key)?.choose(rank);
}

class RankChart {
  /**
   * @param {HTMLElement} parent
   * @param {any} Plotly
   */
  constructor(parent, Plotly) {
    Object.assign(this, { Plotly, place: 0, frame: 0 });
    this.config = { displayModeBar: false, responsive: false, doubleClick: false };
    this.div = element("div");
    this.handle = new Handle();
    this.curve = new Curve();
    const overlay = svg("svg", { class: "overlay" }, this.curve.root, this.handle.root);
    this.words = new Words();
    this.plot = element("div", { class: "plot", role: "group" }, this.div, overlay);
    this.root = element("div", { class: "rank-chart", "data-testid": "rank-chart" }, this.words.root, this.plot);
    this.root.style.visibility = "hidden"; // until the first drawing
    parent.appendChild(this.root);
    this.listen();
    this.watcher = new ResizeObserver(() => this.resized());
    this.watcher.observe(this.root);
  }

  listen() {
    const { area, slider } = this.handle;
    area.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      area.setPointerCapture(event.pointerId);
      slider.focus({ preventScroll: true });
      this.held = true;
      this.from = this.wanted = this.place;
      if (event.pointerType !== "touch") this.follow(event); // a touch may be the start of a swipe over the page
    });
    area.addEventListener("pointermove", (event) => this.held && this.follow(event));
    area.addEventListener("pointerup", (event) => this.letGo(this.under(event)));
    area.addEventListener("pointercancel", () => this.letGo(this.from));
    slider.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {PointerEvent} event */
  under(event) {
    return this.handle.nearest(event.clientX - this.div.getBoundingClientRect().left);
  }

  /** @param {PointerEvent} event */
  follow(event) {
    this.wanted = this.under(event);
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.show(this.wanted);
    });
  }

  /** @param {number} place  at which the handle is left */
  letGo(place) {
    if (!this.held) return;
    this.held = false;
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.show(place);
    this.commit();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const last = this.payload.ranks.length - 1;
    const to = {
      ArrowRight: this.place + 1,
      ArrowUp: this.place + 1,
      ArrowLeft: this.place - 1,
      ArrowDown: this.place - 1,
      PageUp: this.place + 8,
      PageDown: this.place - 8,
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.show(Math.max(0, Math.min(last, to)));
    clearTimeout(this.patience);
    this.patience = setTimeout(() => this.commit(), PATIENCE);
  }

  commit() {
    const rank = this.payload.ranks[this.place];
    clearTimeout(this.patience);
    this.patience = 0;
    if (rank === this.reported) return;
    this.reported = rank;
    this.report("rank", rank);
  }

  /** @param {number} place  in the list of ranks */
  show(place) {
    if (this.drawn !== this.payload) return; // a newer sweep, with ranks of its own, is being drawn
    this.place = place;
    const rank = this.payload.ranks[place];
    this.handle.show(place);
    this.words.show(place);
    this.curve.show(place);
    this.root.dataset.rank = String(rank);
  }

  /** @param {number|undefined} rank  the experiment's */
  choose(rank) {
    const place = this.payload ? this.payload.ranks.indexOf(rank) : -1;
    if (place < 0) return; // a rank of a sweep that has not arrived yet
    this.reported = rank;
    if (!this.held && !this.patience) this.show(place); // a held handle has a newer rank
    this.root.dataset.told = String(rank);
    this.root.style.visibility = "";
  }

  /**
   * @param {{data: Uint8Array, setTriggerValue: (name: string, value: unknown) => void}} component
   */
  async update({ data: bytes, setTriggerValue: report }) {
    this.report = report;
    if (sameBytes(this.bytes, bytes)) return this.dress();
    this.bytes = bytes;
    const payload = await unpack(bytes);
    if (this.bytes !== bytes) return; // overtaken by a newer sweep
    // A held handle keeps its rank, as ranks are added while the sweep of a large layer grows.
    const rank = this.held || this.patience ? this.payload.ranks[this.place] : chosen.get(payload.key);
    this.payload = payload;
    charts.set(payload.key, this);
    this.place = this.wanted = Math.max(0, payload.ranks.indexOf(rank));
    this.plot.setAttribute("aria-label", payload.alt);
    await this.draw();
    this.root.dataset.run = payload.run;
    this.choose(chosen.get(payload.key));
  }

  async draw() {
    const { payload } = this;
    const { figure, dark, colors } = payload;
    this.theme = readTheme(this.root);
    this.width = this.root.getBoundingClientRect().width;
    this.words.load(payload, this.theme);
    const narrow = this.width < NARROW;
    const height = narrow ? TALL : payload.height;
    this.plot.style.height = `${height}px`;
    const layout = { ...themedFigure(figure.layout, dark, this.theme), width: this.width, height };
    if (narrow) {
      layout.xaxis.domain = layout.xaxis2.domain = [0, 1];
      layout.yaxis.domain = [0.58, 1];
      layout.yaxis2.domain = [0, 0.42];
    }
    await this.Plotly.react(this.div, themed(figure.data, dark, this.theme), layout, this.config);
    const { xaxis, yaxis, xaxis2, yaxis2 } = this.div._fullLayout;
    const color = themed(colors.lora, dark, this.theme);
    this.handle.place({ x: xaxis, y: yaxis }, payload, color, this.theme.page);
    this.drawn = payload;
    this.curve.root.setAttribute("transform", `translate(${xaxis2._offset},${yaxis2._offset})`);
    this.curve.place({ x: xaxis2, y: yaxis2 }, payload, color);
    this.show(this.place);
  }

  /** Draw again if the theme is not that of the last drawing. */
  dress() {
    if (!this.payload || !this.theme) return;
    if (JSON.stringify(readTheme(this.root)) !== JSON.stringify(this.theme)) return this.draw();
  }

  resized() {
    cancelAnimationFrame(this.resizing);
    this.resizing = requestAnimationFrame(() => {
      const { width } = this.root.getBoundingClientRect();
      if (this.theme && width && width !== this.width) this.draw();
    });
  }

  destroy() {
    clearTimeout(this.patience);
    cancelAnimationFrame(this.frame);
    cancelAnimationFrame(this.resizing);
    this.watcher.disconnect();
    if (this.payload && charts.get(this.payload.key) === this) charts.delete(this.payload.key);
    this.Plotly.purge(this.div);
    this.root.remove();
  }
}

const styled = stylesheet("rank_chart.css", import.meta.url);
export default mounting((parent, Plotly) => new RankChart(parent, Plotly), styled);
