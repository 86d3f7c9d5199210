/**
 * The control of the rank under the curves of a network, with what each rank ends at as far as it is trained.
 *
 * Once every rank is trained, curves, words, modules, plane and headline follow the held rank, on this control or on
 * the sidebar's; only its release is reported to the server, whose answer is the same picture.
 */

import { element, stylesheet } from "../kit/dom.js";
import { hand } from "../kit/hand.js";
import { mounting } from "../kit/mount.js";
import { sameBytes, unpack } from "../kit/series.js";
import { afterTexts } from "../kit/texts.js";
import { readTheme, themed } from "../kit/theme.js";
import { Control } from "../rank_axis/control.js";
import { Requests } from "../rank_axis/requests.js";
import { RankScale } from "../rank_axis/scale.js";
import { Sidebar } from "../rank_axis/sidebar.js";
import { HeldText } from "./held_text.js";

const SLIDER = ".st-key-net_rank";
const [LEFT, RIGHT] = [64, 22]; // pixels beside the axis
const ROOM = 36; // pixels that a number takes
const TEXTS = {
  titles: ".st-key-network_verdict h1",
  details: ".st-key-network_verdict [data-testid=stCaptionContainer] p",
};

class Ranks {
  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    this.ends = element("div", { class: "ends", "aria-hidden": "true" });
    this.control = new Control(this.ends, {
      hold: (rank) => hand.hold(rank),
      choose: (rank) => this.requests.choose(rank),
      giveUp: () => hand.giveUp(),
    });
    this.note = element("p", { class: "note" });
    const look = { class: "rank-axis network-ranks", "data-testid": "network-ranks" };
    this.root = element("div", look, this.control.root, this.ends, this.note);
    parent.appendChild(this.root);
    this.texts = Object.entries(TEXTS).map(([name, selector]) => new HeldText(name, selector));
    this.sidebar = new Sidebar(signal, SLIDER);
    hand.listen(() => this.show(), signal);
    afterTexts(() => hand.differs(hand.shown) && this.showTexts(), signal);
    this.requests = new Requests(`${SLIDER}, .network-ranks`, signal);
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.root);
  }

  /** @param {{data: Uint8Array, setTriggerValue: (name: string, value: unknown) => void}} component */
  async update({ data: bytes, setTriggerValue }) {
    this.requests.report = setTriggerValue;
    if (!sameBytes(this.bytes, bytes)) {
      this.bytes = bytes;
      const payload = /** @type {any} */ (await unpack(bytes));
      if (this.bytes !== bytes) return; // overtaken by newer results
      this.payload = this.requests.payload = payload;
      this.note.textContent = payload.note;
      this.root.dataset.state = payload.state;
      hand.load(payload);
    }
    const theme = readTheme(this.root);
    for (const [name, color] of Object.entries(this.payload?.colors ?? {})) {
      this.root.style.setProperty(`--${name}`, themed(color, this.payload.dark, theme));
    }
    this.draw();
  }

  draw() {
    const { width } = this.root.getBoundingClientRect();
    if (!this.payload || !width) return;
    const { ranks, ends } = this.payload;
    this.x = new RankScale(ranks, LEFT, width - RIGHT);
    const stride = Math.ceil(ROOM / this.x.step);
    const marks = ranks.flatMap((rank, place) => {
      if (place % stride) return [];
      const mark = element("span", {}, element("span", {}, String(rank)), element("span", {}, ends[place] ?? ""));
      mark.style.left = `${this.x.at(rank)}px`;
      return [mark];
    });
    const names = element("span", { class: "names" }, element("span", {}, ""), element("span", {}, "ends at"));
    this.ends.replaceChildren(names, ...marks);
    const slider = this.control.slider.getBoundingClientRect();
    this.control.place(this.x, slider.left - this.ends.getBoundingClientRect().left);
    this.show();
  }

  show() {
    const rank = hand.rank;
    if (!this.x || rank === null) return;
    const end = this.payload.ends[this.payload.ranks.indexOf(rank)];
    this.control.show(rank, end ? `ends at ${end}` : "not trained yet");
    this.root.dataset.rank = String(rank);
    this.showTexts();
  }

  showTexts() {
    for (const text of this.texts) text.show();
  }

  destroy() {
    this.listeners.abort();
    this.watcher.disconnect();
    this.control.destroy();
    hand.giveUp();
    this.root.remove();
  }
}

const styled = Promise.all([
  stylesheet("../rank_axis/rank_axis.css", import.meta.url),
  stylesheet("network.css", import.meta.url),
]);

export default mounting((parent) => new Ranks(parent), styled);
