/**
 * The drawing: one Plotly figure in one div that stays.
 *
 * Plotly draws once a run. A playback moves only a clip rectangle and the overlay, because a redraw costs
 * several frames and these cost none.
 */

import { element, svg } from "../kit/dom.js";
import { coarse, layout, pictureLayout } from "./layout.js";
import { Overlay } from "./overlay.js";
import { themedTraces } from "../kit/theme.js";

/** @typedef {import("../kit/series.js").Payload} Payload */
/** @typedef {import("../kit/theme.js").Theme} Theme */
/** @typedef {import("./layout.js").Kind} Kind */

let charts = 0;

export class Chart {
  /**
   * @param {any} Plotly
   * @param {(update: number|null) => void} pointed  called with the update under the pointer
   */
  constructor(Plotly, pointed) {
    this.Plotly = Plotly;
    this.pointed = pointed;
    this.zoom = {};
    this.head = 0;
    this.config = this.setUp(); // one object for good: Plotly starts anew when it sees another
    this.div = /** @type {any} */ (element("div", { class: "figure" }));
    this.overlay = new Overlay();
    this.clip = svg("rect", { x: -20, y: -1e4, height: 2e4, width: 0 });
    this.clipName = `live-chart-clip-${++charts}`;
    const clip = svg("clipPath", { id: this.clipName }, this.clip);
    const defs = svg("svg", { class: "defs", width: 0, height: 0, "aria-hidden": "true" }, clip);
    this.root = element("div", { class: "plot" }, this.div, this.overlay.root, defs);
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
    this.traces = themedTraces(payload.figure.data, payload.dark, theme);
    const box = this.root.getBoundingClientRect();
    const first = !this.div.data;
    await this.Plotly.react(this.div, this.traces, layout(payload, theme, kind, this.zoom, box), this.config);
    if (first) this.listen();
    this.settle();
  }

  redraw() {
    return this.draw(this.payload, this.theme, this.kind);
  }

  listen() {
    this.div.on("plotly_relayout", (change) => {
      const moved = ["x", "y"].filter((axis) => `${axis}axis.range[0]` in change);
      for (const axis of moved) this.zoom[axis] = [...this.div.layout[`${axis}axis`].range];
      if (moved.length) this.redraw();
    });
    this.div.on("plotly_relayouting", () => this.settle());
    this.div.on("plotly_doubleclick", () => this.resetZoom());
    for (const type of ["pointermove", "pointerdown"]) this.root.addEventListener(type, (event) => this.point(event));
    this.root.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") this.pointed(null); // a finger has always left; its number stays
    });
  }

  resetZoom() {
    this.zoom = {};
    return this.redraw();
  }

  /** After Plotly has drawn: clip what is played, and lay the overlay on the axes. */
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
    this.reveal(this.head);
  }

  /**
   * Show the run up to the (fractional) update `head`.
   * @param {number} head
   */
  reveal(head) {
    this.head = head;
    if (!this.axes) return;
    this.clip.setAttribute("width", String(Math.max(0, this.axes.x.c2p(head) + 20)));
    this.overlay.reveal(head);
  }

  /** @param {PointerEvent} event */
  point(event) {
    const { x, y } = this.axes;
    const corner = this.div.getBoundingClientRect();
    const across = event.clientX - corner.left - x._offset;
    const down = event.clientY - corner.top - y._offset;
    const inside = across >= 0 && across <= x._length && down >= 0 && down <= y._length;
    this.pointed(inside ? Math.max(0, Math.round(x.p2c(across))) : null);
  }

  /** @param {"png"|"svg"} format */
  download(format) {
    const box = { width: 1200, height: 675 };
    const picture = pictureLayout(this.div.layout, this.payload, this.theme, this.kind, box);
    const options = { format, ...box, filename: `lora-loss-${this.payload.run}` };
    return this.Plotly.downloadImage({ data: this.traces, layout: picture }, options);
  }

  destroy() {
    this.Plotly.purge(this.div);
    this.root.remove();
  }
}
