/**
 * Sketch of LoRA: the frozen W0, and beside it A and B, as thin as the current rank.
 */

import { element, svg } from "../kit/dom.js";
import { hand } from "../kit/hand.js";
import { mounting } from "../kit/mount.js";
import { readTheme, themed } from "../kit/theme.js";
import { styled } from "./style.js";

const SIDE = 38; // pixels of the layer's longer side
const LEAST = 2.5;

class Sketch {
  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.listeners = new AbortController();
    this.svg = svg("svg", { class: "sketch", role: "img" });
    this.root = element("div", { class: "lora-sketch" }, this.svg);
    parent.appendChild(this.root);
    hand.listen(() => this.show(), this.listeners.signal);
  }

  /** @param {{data: {rank: number, inputs: number, outputs: number, colors: any, dark: any}}} component */
  update({ data }) {
    this.data = data;
    const theme = readTheme(this.root);
    for (const [name, color] of Object.entries(data.colors)) {
      this.root.style.setProperty(`--${name}`, themed(String(color), data.dark, theme));
    }
    this.show();
  }

  show() {
    if (!this.data) return;
    const { inputs, outputs } = this.data;
    const rank = hand.rank ?? this.data.rank;
    if (this.drawn === `${rank} ${inputs} ${outputs}`) return;
    this.drawn = `${rank} ${inputs} ${outputs}`;
    const unit = SIDE / Math.max(inputs, outputs);
    const [tall, wide] = [Math.max(6, inputs * unit), Math.max(6, outputs * unit)];
    const thin = Math.max(LEAST, Math.min(SIDE * 1.6, rank * unit));
    let x = 0;
    const box = (name, width, height, text) => {
      const parts = [
        svg("rect", { class: name, x, y: (46 - height) / 2, width, height, rx: 1.5 }),
        word(text, x + width / 2, 60),
      ];
      x += width;
      return parts;
    };
    const sign = (text) => {
      x += 13;
      const part = word(text, x, 28);
      x += 13;
      return part;
    };
    const parts = [...box("frozen", wide, tall, "W₀ frozen"), sign("+")];
    x += 6;
    parts.push(...box("lora", thin, tall, "A"), sign("×"), ...box("lora", wide, thin, "B"));
    this.svg.replaceChildren(...parts);
    this.svg.setAttribute("viewBox", `-24 -1 ${SIDE * 3.6 + 118} 66`);
    this.svg.setAttribute("aria-label", `A frozen layer W0 plus A times B, of rank ${rank}`);
  }

  destroy() {
    this.listeners.abort();
    this.root.remove();
  }
}

function word(text, x, y) {
  const node = svg("text", { x, y, "text-anchor": "middle" });
  node.textContent = text;
  return node;
}

export default mounting((parent) => new Sketch(parent), styled);
