/**
 * The drawing: one Plotly figure in one persistent div.
 *
 * Plotly draws once a run. A playback moves only a clip rectangle and the overlay, because a redraw costs
 * several frames and these cost none.
 */

import { element, svg } from "../kit/dom.js";
import { coarse, layout, pictureLayout } from "./layout.js";
import { Marks } from "./marks.js";
import { Overlay } from "./overlay.js";
import { Quick } from "./quick.js";
import { themed } from "../kit/theme.js";

/** @typedef {import("../kit/series.js").Payload} Payload */
/** @typedef {import("../kit/theme.js").Theme} Theme */
/** @typedef {import("./layout.js").Kind} Kind */

const SIDEWAYS = 5; // pixels that a pointer moves before it scrubs

let charts = 0;

export class Chart {
  /**
   * @param {() => Promise<any>} plotly  resolved with plotly.js once it has started
   * @param {(update: number|null) => void} pointed  called with the update under the pointer
   * @param {(update: number) => void} scrubbed  called with the update dragged to
   * @param {(place: number, update: number) => void} moved  called when a mark was dragged
   */
  constructor(plotly, pointed, scrubbed, moved) {
    Object.assign(this, { plotly, pointed, scrubbed });
    this.zoom = {};
    this.head = 0;
    this.tool = false; // effect of a drag: false for scrubbing, or Plotly's zoom and pan
    this.div = /** @type {any} */ (element("div", { class: "figure" }));
    this.overlay = new Overlay();
    this.marks = new Marks(moved);
    this.overlay.root.append(this.marks.root);
    this.future = svg("rect", { class: "future", y: 0, visibility: "hidden" });
    this.veil = svg("svg", { class: "overlay veil", "aria-hidden": "true" }, this.future);
    this.clip = svg("rect", { x: -20, y: -1e4, height: 2e4, width: 0 });
    this.clipName = `live-chart-clip-${++charts}`;
    const clip = svg("clipPath", { id: this.clipName }, this.clip);
    const defs = svg("svg", { class: "defs", width: 0, height: 0, "aria-hidden": "true" }, clip);
    this.root = element("div", { class: "plot" }, this.div, this.veil, this.overlay.root, defs);
  }

  setUp() {
    const reset = {
      name: "reset",
      title: "Reset zoom",
      icon: this.Plotly.Icons.home,
      click: () => this.resetZoom(),
    };
    return {
      displaylogo: false,
      displayModeBar: coarse() ? false : "hover",
      doubleClick: false,
      responsive: false,
      modeBarButtons: [["zoom2d", "pan2d", reset]],
    };
  }

  /**
   * @param {Payload} payload
   * @param {Theme} theme
   * @param {Kind} kind
   */
  async draw(payload, theme, kind) {
    if (this.payload && this.payload.zoom !== payload.zoom) this.zoom = {};
    if (this.kind !== kind) delete this.zoom.y;
    Object.assign(this, { payload, theme, kind });
    this.traces = themed(payload.figure.data, payload.dark, theme);
    if (!this.Plotly) {
      if (this.root.isConnected) this.sketch(payload, theme, kind); // on a page that was left nothing has a size
      await painted(); // to start plotly.js blocks the page for half a second
      this.Plotly ??= await this.plotly();
      this.config ??= this.setUp(); // always the same object: Plotly builds the figure anew if it gets another
      if (this.payload !== payload || this.kind !== kind) return; // overtaken by a newer run
    }
    const box = this.root.getBoundingClientRect();
    const first = !this.div.data;
    const plan = { ...layout(payload, theme, kind, this.zoom, box), dragmode: this.tool };
    await this.Plotly.react(this.div, this.traces.map(withJumps), plan, this.config);
    this.root.querySelector(".quick")?.remove();
    this.drawn(payload.run);
    if (first) this.listen();
    this.settle();
  }

  /**
   * Draw the curves without plotly.js.
   * @param {Payload} payload
   * @param {Theme} theme
   * @param {Kind} kind
   */
  sketch(payload, theme, kind) {
    this.quick = new Quick();
    this.quick.draw(payload, theme, kind, this.root.getBoundingClientRect());
    this.root.querySelector(".quick")?.remove();
    this.div.before(this.quick.root);
    this.drawn(payload.run);
  }

  /** @param {string} run  whose curves are visible now, drawn by Plotly or by `quick.js` */
  drawn(run) {
    const chart = /** @type {HTMLElement|null} */ (this.root.closest(".live-chart"));
    if (!chart) return;
    chart.dataset.painted = run;
    chart.style.visibility = "";
  }

  redraw() {
    return this.draw(this.payload, this.theme, this.kind);
  }

  listen() {
    this.div.on("plotly_relayout", (change) => {
      if ("dragmode" in change) this.tool = change.dragmode;
      const moved = ["x", "y"].filter((axis) => `${axis}axis.range[0]` in change);
      for (const axis of moved) this.zoom[axis] = [...this.div.layout[`${axis}axis`].range];
      if (moved.length) this.redraw();
    });
    this.div.on("plotly_relayouting", () => this.settle());
    this.div.on("plotly_doubleclick", () => this.resetZoom());
    for (const type of ["pointermove", "pointerdown"]) this.root.addEventListener(type, (event) => this.point(event));
    this.root.addEventListener("pointerdown", (event) => this.grip(event));
    this.root.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") this.pointed(null); // a touch always ends with leaving: its number stays
    });
  }

  resetZoom() {
    this.zoom = {};
    return this.redraw();
  }

  /** After a drawing of Plotly's, clip the played curves and place the overlay on the axes. */
  settle() {
    const { xaxis, yaxis } = this.div._fullLayout;
    this.axes = { x: xaxis, y: yaxis };
    const groups = this.div.querySelectorAll(".scatterlayer > .trace");
    this.traces.forEach((trace, index) => {
      if (trace.meta.play) groups[index]?.setAttribute("clip-path", `url(#${this.clipName})`);
      else groups[index]?.removeAttribute("clip-path");
    });
    this.root.style.setProperty("--axis-left", `${xaxis._offset}px`);
    this.overlay.place(this.axes, this.traces, this.theme);
    this.marks.place(this.payload.marks ?? [], this.axes);
    Object.assign(/** @type {any} */ (this.veil).style, { left: `${xaxis._offset}px`, top: `${yaxis._offset}px` });
    this.future.setAttribute("height", yaxis._length);
    this.reveal(this.head);
  }

  /**
   * Show the run up to the (fractional) update `head`.
   * @param {number} head
   */
  reveal(head) {
    this.head = head;
    if (!this.axes) return;
    const { x } = this.axes;
    const across = Math.max(0, Math.min(x._length, x.c2p(head)));
    // Where changes apply from here on, what comes stays in sight, pale.
    const { here } = this.payload;
    this.clip.setAttribute("width", here ? "1e4" : String(Math.max(0, x.c2p(head) + 20)));
    this.future.setAttribute("visibility", here ? "visible" : "hidden");
    this.future.setAttribute("x", String(across));
    this.future.setAttribute("width", String(x._length - across));
    this.overlay.reveal(head);
  }

  /** @param {PointerEvent} event */
  point(event) {
    this.pointed(this.updateAt(event));
  }

  /** @param {PointerEvent} event */
  grip(event) {
    const target = event.target instanceof Element ? event.target : null;
    if (event.button || this.tool || target?.closest(".axis, .modebar-container")) return;
    if (this.updateAt(event) === null) return;
    const { pointerId: id, clientX: start } = event;
    const from = Math.floor(this.head);
    const ends = new AbortController(); // on the window, since Plotly covers the page during a drag
    const on = (type, act) =>
      addEventListener(type, (next) => next.pointerId === id && act(next), { signal: ends.signal });
    let moves = false;
    on("pointermove", (next) => {
      moves ||= Math.abs(next.clientX - start) >= SIDEWAYS;
      if (moves) this.scrubbed(this.updateAt(next, true));
    });
    on("pointerup", () => ends.abort());
    on("pointercancel", () => {
      if (moves) this.scrubbed(from); // the browser scrolls: this was no scrubbing
      ends.abort();
    });
  }

  /**
   * @param {PointerEvent} event
   * @param {boolean} [beyond]  whether a place beside the plot counts as its edge
   */
  updateAt(event, beyond = false) {
    const { x, y } = this.axes;
    const corner = this.div.getBoundingClientRect();
    const across = event.clientX - corner.left - x._offset;
    const down = event.clientY - corner.top - y._offset;
    const inside = across >= 0 && across <= x._length && down >= 0 && down <= y._length;
    if (!inside && !beyond) return null;
    return Math.max(0, Math.round(x.p2c(Math.max(0, Math.min(x._length, across)))));
  }

  /** @param {"png"|"svg"} format */
  download(format) {
    const box = { width: 1200, height: 675 };
    const picture = pictureLayout(this.div.layout, this.payload, this.theme, this.kind, box);
    const options = { format, ...box, filename: `lora-loss-${this.payload.run}` };
    return this.Plotly.downloadImage({ data: this.traces.map(withJumps), layout: picture }, options);
  }

  destroy() {
    this.Plotly?.purge(this.div);
    this.root.remove();
  }
}

/**
 * A trace as Plotly draws it: upright where a cut of the rank makes the loss jump, so that the past keeps its place.
 * @param {any} trace  a point an update
 */
function withJumps(trace) {
  const { jumps } = trace.meta;
  if (!jumps) return trace;
  const x = Array.from(trace.y, (_, update) => update);
  const y = Array.from(trace.y);
  for (const [update, before] of [...jumps].reverse()) {
    x.splice(update, 0, update);
    y.splice(update, 0, before);
  }
  return { ...trace, x, y };
}

/** Resolved when the drawing is on the screen, or after a short time: a page in the background has no frames. */
function painted() {
  return new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve));
    setTimeout(resolve, 300);
  });
}
