/**
 * All ranks in one figure that Plotly draws once a sweep, and a handle that moves over it.
 *
 * Everything a rank changes is laid over the axes or stands beside them: one path, a few attributes and some
 * words a frame. Plotly draws nothing and the server hears nothing until the hand lets go. The curve of the rank
 * lies on this figure's second panel, or on the live chart of the page.
 */

import { Curve } from "./curve.js";
import { Handle } from "./handle.js";
import { OverLive } from "./over_live.js";
import { Words } from "./words.js";

const NARROW = 560; // CSS pixels: below it two panels stand one above the other
const TALL = 560; // and are together as high as this
const PATIENCE = 350; // ms after the last key before a rank is told to the server
const LINGER = 250; // ms that a curve stays over the live chart, which draws the chosen rank meanwhile

/** @type {WeakMap<Node, RankChart>} */
const mounted = new WeakMap();
/** @type {Map<string, RankChart>} the charts on the page, by their keys */
const charts = new Map();
/** @type {Map<string, number>} the experiment's rank, by the key of the chart */
const chosen = new Map();

/**
 * The rank of the experiment. It comes by itself, so that a new rank sends a few bytes and not the figure.
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
   * @param {any} kit  the live chart's elements, series and theme
   */
  constructor(parent, Plotly, kit) {
    Object.assign(this, { Plotly, kit, calls: 0, place: 0, frame: 0 });
    this.config = { displayModeBar: false, responsive: false, doubleClick: false };
    this.div = kit.element("div", { class: "figure" });
    this.handle = new Handle(kit);
    this.curve = new Curve(kit);
    this.live = new OverLive(kit);
    const overlay = kit.svg("svg", { class: "overlay" }, this.curve.root, this.handle.root);
    this.words = new Words(kit);
    this.plot = kit.element("div", { class: "plot", role: "group" }, this.div, overlay);
    this.root = kit.element("div", { class: "rank-chart", "data-testid": "rank-chart" }, this.words.root, this.plot);
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
      this.follow(event);
    });
    area.addEventListener("pointermove", (event) => this.held && this.follow(event));
    area.addEventListener("pointerup", () => this.letGo());
    area.addEventListener("pointercancel", () => this.letGo());
    slider.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {PointerEvent} event */
  follow(event) {
    this.wanted = this.handle.nearest(event.clientX - this.div.getBoundingClientRect().left);
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.show(this.wanted);
    });
  }

  letGo() {
    if (!this.held) return;
    this.held = false;
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.show(this.wanted);
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
    if (rank === this.told) return;
    this.told = rank;
    this.tell("rank", rank);
  }

  /** @param {number} place  in the list of ranks */
  show(place) {
    if (this.drawn !== this.payload) return; // a newer sweep is being drawn, and has ranks of its own
    this.place = place;
    const rank = this.payload.ranks[place];
    this.handle.show(place);
    this.words.show(place);
    clearTimeout(this.lingering);
    if (!this.payload.over_live) this.curve.show(place);
    else if (rank !== chosen.get(this.payload.key)) this.live.show(place);
    else this.lingering = setTimeout(() => this.live.show(undefined), this.held ? 0 : LINGER);
    this.root.dataset.rank = String(rank);
  }

  /** @param {number|undefined} rank  the experiment's */
  choose(rank) {
    const place = this.payload ? this.payload.ranks.indexOf(rank) : -1;
    if (place < 0) return; // a rank of a sweep that is still on its way
    this.told = rank;
    if (!this.held && !this.patience) this.show(place); // a hand that is at it already knows better
    this.root.dataset.told = String(rank);
    this.root.style.visibility = "";
  }

  /**
   * @param {Uint8Array} bytes
   * @param {(name: string, value: unknown) => void} tell
   */
  async update(bytes, tell) {
    this.tell = tell;
    if (this.kit.sameBytes(this.bytes, bytes)) return this.dress();
    this.bytes = bytes;
    const payload = await this.kit.unpack(bytes);
    if (this.bytes !== bytes) return; // overtaken by a newer sweep
    // A hand that is at it keeps its rank: the ranks of a large layer grow more meanwhile.
    const rank = this.held || this.patience ? this.payload.ranks[this.place] : chosen.get(payload.key);
    this.payload = payload;
    charts.set(payload.key, this);
    this.place = this.wanted = Math.max(0, payload.ranks.indexOf(rank));
    this.plot.setAttribute("aria-label", payload.alt);
    await this.draw();
    const first = !this.root.dataset.run;
    this.root.dataset.run = payload.run;
    // The hand shall see what it moves: the live chart lies just above.
    if (first && payload.over_live) this.root.scrollIntoView({ block: "end", behavior: "smooth" });
    this.choose(chosen.get(payload.key));
  }

  async draw() {
    const { payload } = this;
    const { figure, dark, colors, over_live: overLive } = payload;
    this.theme = this.kit.readTheme(this.root);
    this.width = this.root.getBoundingClientRect().width;
    this.words.load(payload, this.theme);
    if (overLive) this.root.append(this.words.root); // below: the handle stays close to the live chart
    const narrow = this.width < NARROW && !overLive;
    const height = narrow ? TALL : payload.height;
    this.plot.style.height = `${height}px`;
    const layout = this.layout(narrow, height);
    await this.Plotly.react(this.div, this.kit.themedTraces(figure.data, dark, this.theme), layout, this.config);
    const { xaxis, yaxis, xaxis2, yaxis2 } = this.div._fullLayout;
    const color = this.kit.themed(colors.lora, dark, this.theme);
    this.handle.place({ x: xaxis, y: yaxis }, payload, color, this.theme.page);
    this.drawn = payload;
    if (overLive) this.live.place(payload, color, this.theme.page);
    else {
      this.curve.root.setAttribute("transform", `translate(${xaxis2._offset},${yaxis2._offset})`);
      this.curve.place({ x: xaxis2, y: yaxis2 }, payload, color);
    }
    this.show(this.place);
  }

  /**
   * @param {boolean} narrow
   * @param {number} height
   */
  layout(narrow, height) {
    const { axis, modebar, ...look } = this.kit.themedLayout(this.theme);
    const { figure, dark } = this.payload;
    const sent = figure.layout;
    const colored = (part) => ({ ...part, color: this.kit.themed(part.color, dark, this.theme) });
    const layout = { ...look, ...sent, dragmode: false, width: this.width, height };
    for (const name of Object.keys(sent).filter((key) => /^[xy]axis\d*$/.test(key))) {
      const title = { ...sent[name].title, font: { size: this.theme.size } };
      layout[name] = { ...axis, ...sent[name], title, fixedrange: true };
    }
    if (narrow) {
      layout.xaxis.domain = layout.xaxis2.domain = [0, 1];
      layout.yaxis.domain = [0.58, 1];
      layout.yaxis2.domain = [0, 0.42];
    }
    layout.shapes = (sent.shapes ?? []).map((shape) => ({ ...shape, line: colored(shape.line) }));
    layout.annotations = (sent.annotations ?? []).map((note) => {
      return { ...note, font: { size: this.theme.size, ...colored(note.font) } };
    });
    return layout;
  }

  /** Draw again if the theme is not that of the last drawing. */
  dress() {
    if (!this.payload || !this.theme) return;
    if (JSON.stringify(this.kit.readTheme(this.root)) !== JSON.stringify(this.theme)) return this.draw();
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
    clearTimeout(this.lingering);
    cancelAnimationFrame(this.frame);
    cancelAnimationFrame(this.resizing);
    this.watcher.disconnect();
    if (this.payload && charts.get(this.payload.key) === this) charts.delete(this.payload.key);
    this.live.show(undefined);
    this.live.leave();
    this.Plotly.purge(this.div);
    this.root.remove();
  }
}

const styled = new Promise((resolve) => {
  const link = document.createElement("link");
  Object.assign(link, { rel: "stylesheet", href: new URL("rank_chart.css", import.meta.url).href });
  for (const type of ["load", "error"]) link.addEventListener(type, resolve);
  document.head.append(link);
});

/**
 * @param {{parentElement: HTMLElement, data: Uint8Array, setTriggerValue: (name: string, value: unknown) => void}} component
 * @param {any} Plotly
 * @param {any} kit
 */
export default async function rankChart({ parentElement, data, setTriggerValue }, Plotly, kit) {
  await styled;
  let chart = mounted.get(parentElement);
  if (!chart) mounted.set(parentElement, (chart = new RankChart(parentElement, Plotly, kit)));
  const call = ++chart.calls;
  await chart.update(data, setTriggerValue);
  return () =>
    setTimeout(() => {
      if (call !== chart.calls || parentElement.isConnected) return;
      chart.destroy();
      mounted.delete(parentElement);
    });
}
