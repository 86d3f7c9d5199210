/**
 * One axis of ranks: the final error and the trainable share of each, and the control of the whole page.
 *
 * The results of every rank are sent once for an experiment, when the pointer or the focus first reaches a control;
 * from then on a move involves neither Plotly nor the server. The release of the control is reported to the server.
 */

import { element, stylesheet } from "../kit/dom.js";
import { hand } from "../kit/hand.js";
import { mounting } from "../kit/mount.js";
import { sameBytes, unpack } from "../kit/series.js";
import { readTheme, themed } from "../kit/theme.js";
import { Control } from "./control.js";
import { Digits } from "./digits.js";
import { Panels } from "./panels.js";
import { Requests } from "./requests.js";
import { SLIDER, Sidebar } from "./sidebar.js";
// Imports of those modules, repeated here so that all are fetched at once and not one after another.
import "./scale.js";

class RankAxis {
  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    this.panels = new Panels();
    this.digits = new Digits();
    this.control = new Control(this.panels.root, {
      hold: (rank) => hand.hold(rank),
      choose: (rank) => this.requests.choose(rank),
      giveUp: () => hand.giveUp(),
    });
    this.note = element("p", { class: "note" });
    const parts = [this.digits.root, this.panels.root, this.control.root, this.note];
    this.root = element("div", { class: "rank-axis", "data-testid": "rank-axis" }, ...parts);
    parent.appendChild(this.root);
    hand.listen(() => this.show(), signal);
    this.sidebar = new Sidebar(signal);
    this.requests = new Requests(`${SLIDER}, .rank-axis`, signal);
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.panels.root);
  }

  /** @param {{data: Uint8Array, setTriggerValue: import("./requests.js").Report}} component */
  async update({ data: bytes, setTriggerValue }) {
    this.requests.report = setTriggerValue;
    if (sameBytes(this.bytes, bytes)) return this.dress();
    this.bytes = bytes;
    const payload = await unpack(bytes);
    if (this.bytes !== bytes) return; // overtaken by newer results
    this.payload = this.requests.payload = payload;
    this.note.textContent = payload.note;
    this.digits.load(payload.digits);
    this.panels.buys.setAttribute("aria-label", payload.alt);
    this.dress(true);
    Object.assign(this.root.dataset, { state: payload.state, run: payload.run });
    hand.load(this.payload);
  }

  /** @param {boolean} [anew]  draw even if the theme is that of the last drawing */
  dress(anew = false) {
    if (!this.payload) return; // called again while the first message is unpacked
    const theme = readTheme(this.root);
    if (!anew && JSON.stringify(theme) === JSON.stringify(this.theme)) return;
    this.theme = theme;
    const { colors, dark } = this.payload;
    for (const [name, color] of Object.entries(colors)) {
      this.root.style.setProperty(`--${name}`, themed(color, dark, theme));
    }
    this.draw();
  }

  draw() {
    const { width, height } = this.panels.root.getBoundingClientRect();
    if (!this.payload || !width || !height) return;
    this.panels.draw(this.payload, Math.round(width), Math.round(height));
    const slider = this.control.slider.getBoundingClientRect();
    this.control.place(this.panels.x, slider.left - this.panels.root.getBoundingClientRect().left);
    this.show();
  }

  show() {
    const rank = hand.rank;
    if (!this.panels.x || rank === null) return;
    const place = this.payload.ranks.indexOf(rank);
    this.panels.show(rank, place);
    this.panels.costs.setAttribute("aria-label", this.payload.shareWords[place] ?? "Trainable share");
    this.control.show(rank, this.payload.percents[place] ?? "");
    this.digits.show(place);
    this.root.dataset.rank = String(rank);
  }

  destroy() {
    this.listeners.abort();
    this.watcher.disconnect();
    this.control.destroy();
    this.root.remove();
  }
}

export default mounting((parent) => new RankAxis(parent), stylesheet("rank_axis.css", import.meta.url));
