/**
 * A still figure: one Plotly figure in one persistent div, redrawn in place when its numbers change.
 *
 * `st.plotly_chart` builds a new element at every change, with a blank frame in between (streamlit PR 16052, open at
 * 1.67.0, keeps the element of a chart with a key).
 */

import { element, stylesheet } from "../kit/dom.js";
import { mounting } from "../kit/mount.js";
import { sameBytes, unpack } from "../kit/series.js";
import { readTheme, themed, themedFigure } from "../kit/theme.js";

/** @typedef {import("../kit/theme.js").Theme} Theme */
/**
 * @typedef {object} Payload
 * @property {{data: any[], layout: any}} figure
 * @property {string} run  fingerprint of the figure
 * @property {number} height  in CSS pixels
 * @property {string} alt  the chart in words
 * @property {Record<string, string>} dark  colour -> its twin on a dark page
 */

class SteadyChart {
  /**
   * @param {Node} parent
   * @param {any} Plotly
   */
  constructor(parent, Plotly) {
    this.Plotly = Plotly;
    this.config = { displayModeBar: false, responsive: false, doubleClick: false };
    this.div = element("div");
    this.root = element("div", { "data-testid": "steady-chart", role: "figure" }, this.div);
    parent.appendChild(this.root);
    this.watcher = new ResizeObserver(() => this.resized());
    this.watcher.observe(this.root);
  }

  /** @param {{data: Uint8Array}} component */
  async update({ data: bytes }) {
    if (!sameBytes(this.bytes, bytes)) {
      this.bytes = bytes;
      const payload = await unpack(bytes);
      if (this.bytes !== bytes) return; // overtaken by a newer figure
      this.payload = payload;
      this.root.style.height = `${payload.height}px`;
      this.root.setAttribute("aria-label", payload.alt);
      await this.draw();
      this.root.dataset.run = payload.run;
    } else if (this.payload && JSON.stringify(readTheme(this.root)) !== JSON.stringify(this.theme)) {
      await this.draw();
    }
  }

  async draw() {
    const { figure, dark } = this.payload;
    this.theme = readTheme(this.root);
    const { width, height } = (this.box = this.root.getBoundingClientRect()); // a page's stylesheet may set another height
    const layout = { ...themedFigure(figure.layout, dark, this.theme), width, height };
    await this.Plotly.react(this.div, themed(figure.data, dark, this.theme), layout, this.config);
  }

  resized() {
    cancelAnimationFrame(this.resizing);
    this.resizing = requestAnimationFrame(() => {
      const { width, height } = this.root.getBoundingClientRect();
      if (this.box && width && (width !== this.box.width || height !== this.box.height)) this.draw();
    });
  }

  destroy() {
    this.watcher.disconnect();
    cancelAnimationFrame(this.resizing);
    this.Plotly.purge(this.div);
    this.root.remove();
  }
}

const styled = stylesheet("still_chart.css", import.meta.url);
export default mounting((parent, Plotly) => new SteadyChart(parent, Plotly), styled);
