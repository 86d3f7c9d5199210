/**
 * All ranks in one figure that Plotly draws once a sweep, and a handle that moves over it.
 *
 * Everything a rank changes is laid over the axes or stands beside them: one path, a few attributes and some
 * words a frame. Plotly draws nothing and the server hears nothing until the hand lets go.
 */

import { Overlay } from "./overlay.js";
import { Words } from "./words.js";

const NARROW = 560; // CSS pixels: below it the two panels stand one above the other
const PATIENCE = 350; // ms after the last key before a rank is told to the server

/** @type {WeakMap<Node, RankChart>} */
const mounted = new WeakMap();

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
    this.overlay = new Overlay(kit);
    this.words = new Words(kit);
    this.plot = kit.element("div", { class: "plot", role: "group" }, this.div, this.overlay.root);
    this.root = kit.element("div", { class: "rank-chart", "data-testid": "rank-chart" }, this.words.root, this.plot);
    this.root.style.visibility = "hidden"; // until the first drawing
    parent.appendChild(this.root);
    this.listen();
    this.watcher = new ResizeObserver(() => this.resized());
    this.watcher.observe(this.root);
  }

  listen() {
    const { area, handle } = this.overlay;
    area.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      area.setPointerCapture(event.pointerId);
      handle.focus({ preventScroll: true });
      this.held = true;
      this.follow(event);
    });
    area.addEventListener("pointermove", (event) => this.held && this.follow(event));
    area.addEventListener("pointerup", () => this.letGo());
    area.addEventListener("pointercancel", () => this.letGo());
    handle.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {PointerEvent} event */
  follow(event) {
    const { x } = this.overlay.axes;
    const across = event.clientX - this.div.getBoundingClientRect().left - x._offset;
    const places = this.payload.ranks.map((rank) => Math.abs(x.c2p(x.d2c(rank)) - across));
    this.wanted = places.indexOf(Math.min(...places));
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
    this.place = place;
    this.overlay.show(place);
    this.words.show(place);
    this.root.dataset.rank = String(this.payload.ranks[place]);
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
    const fresh = payload.run !== this.payload?.run;
    this.payload = payload;
    this.told = payload.rank;
    const busy = this.held || this.patience; // a hand that is at it already knows better
    if (!busy || fresh) this.place = payload.ranks.indexOf(payload.rank);
    if (fresh) {
      this.plot.setAttribute("aria-label", payload.alt);
      await this.draw();
    } else if (!busy) this.show(this.place);
    Object.assign(this.root.dataset, { run: payload.run, told: String(payload.rank) });
    this.root.style.visibility = "";
  }

  async draw() {
    const { figure, dark } = this.payload;
    this.theme = this.kit.readTheme(this.root);
    this.width = this.root.getBoundingClientRect().width;
    this.words.load(this.payload, this.theme);
    const narrow = this.width < NARROW;
    this.plot.style.height = narrow ? "560px" : "400px";
    const layout = this.layout(narrow);
    await this.Plotly.react(this.div, this.kit.themedTraces(figure.data, dark, this.theme), layout, this.config);
    this.overlay.place(this.div._fullLayout, this.payload, this.theme);
    this.show(this.place);
  }

  /** @param {boolean} narrow */
  layout(narrow) {
    const { axis, modebar, ...look } = this.kit.themedLayout(this.theme);
    const { figure, dark } = this.payload;
    const sent = figure.layout;
    const colored = (part) => ({ ...part, color: this.kit.themed(part.color, dark, this.theme) });
    const layout = { ...look, ...sent, dragmode: false, width: this.width, height: narrow ? 560 : 400 };
    for (const name of ["xaxis", "xaxis2", "yaxis", "yaxis2"]) {
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

  /** Draw again if the theme or the width are not those of the last drawing. */
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
    cancelAnimationFrame(this.frame);
    cancelAnimationFrame(this.resizing);
    this.watcher.disconnect();
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
