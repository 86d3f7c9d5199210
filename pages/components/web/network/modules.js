/**
 * The network as a drawing: its linear layers at their places, the left half of each tinted by the size of LoRA's
 * change, the right half by that of full fine-tuning. A click or Enter chooses one.
 */

import { svg } from "../kit/dom.js";
import { themed } from "../kit/theme.js";

const COLUMNS = 9; // q, k, v | o | up | down of two blocks, and the head

export class Modules {
  /**
   * @param {HTMLElement} root
   * @param {(name: string) => void} chosen
   */
  constructor(root, chosen) {
    this.chosen = chosen;
    this.svg = svg("svg", { class: "network-modules" });
    root.append(this.svg);
  }

  /**
   * @param {any} payload
   * @param {import("../kit/theme.js").Theme} theme
   * @param {number} width
   */
  draw(payload, theme, width) {
    Object.assign(this, { payload, theme });
    const { height, modules, chosen } = payload;
    const focused = this.svg.querySelector(":focus")?.getAttribute("data-module");
    const [top, gap] = [theme.size * 1.9, width < 480 ? 4 : 10];
    const column = width / COLUMNS;
    const room = height - top - theme.size * 1.6;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("width", String(width));
    this.svg.setAttribute("height", String(height));
    const line = svg("line", { class: "stream", x1: 0, x2: width, y1: top + room / 2, y2: top + room / 2 });
    const blocks = [0, 1].map((block) => {
      const x = block * 4 * column + gap / 4;
      const frame = { x, y: 1, width: 4 * column - gap / 2, height: height - 2, rx: 8, class: "block" };
      return svg("g", {}, svg("rect", frame), this.text(x + 8, theme.size * 1.25, `block ${block}`, "start", "muted"));
    });
    this.parts = modules.map((module) => {
      const [at, share, place] = spot(module.name);
      const box = {
        x: at * column + gap / 2,
        y: top + (room * place) / share + 2,
        width: column - gap,
        height: room / share - 4,
      };
      return this.module(module, box, module.name === chosen, share > 1);
    });
    this.svg.replaceChildren(line, ...blocks, ...this.parts.map(({ node }) => node));
    /** @type {SVGElement|null} */ (focused && this.svg.querySelector(`[data-module="${focused}"]`))?.focus();
  }

  module(module, box, chosen, small) {
    const { payload, theme } = this;
    const half = box.width / 2;
    const tint = (name, x) =>
      svg("rect", { ...box, x, width: half, fill: themed(payload.colors[name], payload.dark, theme) });
    const [lora, full] = [tint("lora", box.x), tint("full", box.x + half)];
    const under = svg("rect", { ...box, fill: theme.page });
    const frame = svg("rect", { ...box, rx: 4, class: chosen ? "frame chosen" : "frame" });
    const middle = box.x + half;
    const center = box.y + box.height / 2;
    const step = theme.size * 1.25;
    const name = this.text(middle, center + (small ? -1 : -step), module.label, "middle", "name");
    const rank = this.text(middle, center + (small ? step - 2 : 0), module.rank ? `r ${module.rank}` : "frozen", "middle");
    const change = this.text(middle, center + step, "", "middle");
    const about = svg("title");
    const node = svg(
      "g",
      { role: "button", tabindex: 0, class: "module", "data-module": module.name, "aria-pressed": String(chosen) },
      ...[under, lora, full, frame, name, rank, ...(small ? [] : [change]), about],
    );
    node.addEventListener("click", () => this.chosen(module.name));
    node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      this.chosen(module.name);
    });
    return { node, lora, full, change, about, module };
  }

  text(x, y, words, anchor, name = "") {
    const node = svg("text", { x, y, "text-anchor": anchor, "dominant-baseline": "middle", class: name });
    node.textContent = words;
    return node;
  }

  /** @param {number} look */
  show(look) {
    const { most, changes } = this.payload;
    this.parts.forEach(({ node, lora, full, change, about, module }, index) => {
      const [ours, theirs] = ["lora", "full"].map((lane) => {
        const rows = changes[lane];
        return rows.length ? rows[Math.min(look, rows.length - 1)][index] : 0;
      });
      lora.setAttribute("fill-opacity", tinted(ours, most));
      full.setAttribute("fill-opacity", tinted(theirs, most));
      change.textContent = ours ? percent(ours) : "";
      const trained = module.rank ? `rank ${module.rank}, ${module.trained} numbers` : "frozen";
      const words = `${module.title}: ${trained}. Changed by ${percent(ours)} with LoRA, ${percent(theirs)} in full.`;
      about.textContent = words;
      node.setAttribute("aria-label", words);
    });
  }
}

/** Column, modules in the column, and place among them. */
function spot(name) {
  if (name === "head") return [8, 1, 0];
  const [block, part] = name.split(".");
  const first = 4 * Number(block);
  if ("qkv".includes(part)) return [first, 3, "qkv".indexOf(part)];
  return [first + { o: 1, up: 2, down: 3 }[part], 1, 0];
}

function tinted(change, most) {
  return String(most ? (0.75 * change) / most : 0);
}

function percent(share) {
  const value = 100 * share;
  return `${value >= 9.95 ? value.toFixed(0) : value.toFixed(1)} %`;
}
