/**
 * Views of a scene without a curve: bars of shares, digits and their readings, a layer and its change, a picture
 * of low rank. Parts that stay are moved and not replaced, so that growth is seen.
 */

import { element, stylesheet, svg } from "../kit/dom.js";
import { mounting } from "../kit/mount.js";
import { readTheme, themed } from "../kit/theme.js";

const SIDE = 8; // pixels of a picture

/** @typedef {Record<string, any>} Drawing  a message of lora_core.figures.stage.views */

class Share {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.rows = element("div", { class: "rows" });
    root.replaceChildren(this.rows);
  }

  /** @param {Drawing} drawing */
  draw({ rows, guess }) {
    if (this.rows.childElementCount !== rows.length) {
      this.rows.replaceChildren(...rows.map(() => element("div", { class: "row" }, ...bar())));
    }
    rows.forEach(({ name, part, of, says }, place) => {
      const row = /** @type {HTMLElement} */ (this.rows.children[place]);
      row.dataset.part = part;
      row.style.setProperty("--of", String(of));
      row.querySelector(".name").textContent = name;
      row.querySelector(".says").textContent = says;
    });
    this.rows.dataset.guess = guess ? guess.says : "";
    this.rows.style.setProperty("--guess", String(guess ? guess.of : 0));
    this.mark ??= element("div", { class: "mark" }, element("span"));
    if (!guess) return this.mark.remove();
    this.mark.firstElementChild.textContent = guess.says;
    this.mark.dataset.side = guess.of > 0.6 ? "left" : "right";
    this.rows.append(this.mark);
  }
}

function bar() {
  const track = element("div", { class: "track" }, element("div", { class: "bar" }));
  return [element("span", { class: "name" }), track, element("span", { class: "says" })];
}

class Digits {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.head = element("p", { class: "head" });
    this.grid = element("div", { class: "grid" });
    root.replaceChildren(this.head, this.grid);
  }

  /** @param {Drawing} drawing */
  draw({ head, labels, pictures, before, after }, moving) {
    this.late = [];
    this.head.replaceChildren(...head.map((text, place) => element("span", { "data-part": String(place) }, text)));
    const cells = labels.map((label, place) => {
      const reads = element("span", { class: "reads" });
      const cell = element("div", { class: "digit", title: `A new picture; the task calls it ${label}` }, reads);
      cell.prepend(canvas(SIDE, SIDE, (pixel) => pictures[place * SIDE * SIDE + pixel] / 255));
      const tell = (read) => {
        cell.dataset.right = String(read === label);
        reads.textContent = `${read} ${read === label ? "✓" : "✗"}`;
      };
      tell(moving ? before[place] : after[place]);
      if (moving && before[place] !== after[place]) {
        this.late.push(() => tell(after[place]));
        setTimeout(() => tell(after[place]), 300 + 45 * place);
      }
      return cell;
    });
    this.grid.replaceChildren(...cells);
  }

  /** Show every reading at once. */
  finish() {
    this.late.forEach((tell) => tell());
  }
}

class Layer {
  /** @param {HTMLElement} root */
  constructor(root) {
    const names = ["frozen", "change", "a", "b"];
    this.boxes = Object.fromEntries(names.map((name) => [name, svg("rect", { class: name, rx: 0.8 })]));
    this.words = Object.fromEntries([...names, "plus", "times", "sum"].map((name) => [name, svg("text", { class: name })]));
    const parts = [...Object.values(this.boxes), ...Object.values(this.words)];
    this.svg = svg("svg", { viewBox: "0 0 200 84", class: "layer" }, ...parts);
    root.replaceChildren(this.svg);
  }

  /** @param {Drawing} drawing */
  draw({ part, rank, inputs, outputs, full, says }) {
    this.svg.dataset.part = part;
    const unit = 58 / Math.max(inputs, outputs);
    const [tall, wide] = [Math.max(4, inputs * unit), Math.max(4, outputs * unit)];
    const thin = Math.min(Math.max(1.6, rank * unit), 62);
    const top = 6 + (58 - tall) / 2;
    const locked = part === "factors" || part === "numbers";
    const right = locked ? 32 + thin + wide : part === "change" ? 22 + wide : 0;
    const left = 100 - (wide + right) / 2;
    const after = left + wide + 14;
    place(this.boxes.frozen, left, top, wide, tall);
    place(this.boxes.change, after + 8, top, wide, tall);
    place(this.boxes.a, after + 6, top, thin, tall);
    place(this.boxes.b, after + 6 + thin + 12, 6 + (58 - Math.min(thin, 58)) / 2, wide, Math.min(thin, 58));
    const counted = part === "numbers" || !locked;
    this.word("frozen", left + wide / 2, 71, locked ? "W₀, frozen" : `W₀: ${full}`);
    this.word("change", after + 8 + wide / 2, 71, `another ${full}`);
    this.word("a", after + 6 + thin / 2, 71, "A");
    this.word("b", after + 18 + thin + wide / 2, 71, "B");
    this.word("plus", left + wide + 11, 37, "+");
    this.word("times", after + 12 + thin, 37, "×");
    this.word("sum", 100, 81, counted && locked ? `Rank ${rank}: ${says}` : "");
  }

  word(name, x, y, text) {
    const node = this.words[name];
    node.setAttribute("x", String(x));
    node.setAttribute("y", String(y));
    node.textContent = text;
  }
}

class Picture {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.head = element("p", { class: "head" });
    this.product = element("div", { class: "product" });
    root.replaceChildren(this.head, this.product);
  }

  /** @param {Drawing} drawing */
  draw({ head, rank, picture, columns, rows, colors, dark }, _, theme) {
    this.head.textContent = head[0];
    this.product.dataset.rank = String(rank);
    this.product.style.setProperty("--rank", String(Math.max(rank, 1)));
    const own = element("figure", { class: "own" }, canvas(SIDE, SIDE, (cell) => picture[cell]), caption("The picture"));
    if (!rank) return this.product.replaceChildren(own);
    const [plus, minus] = ["positive", "negative"].map((name) => themed(colors[name], dark, theme));
    const signed = (value) => ({ color: value < 0 ? minus : plus, strength: Math.min(1, Math.abs(value) / 1.4) });
    const columnAt = (cell) => signed(columns[Math.floor(cell / rank)][cell % rank]);
    const rowAt = (cell) => signed(rows[Math.floor(cell / SIDE)][cell % SIDE]);
    const sum = (cell) => {
      const [y, x] = [Math.floor(cell / SIDE), cell % SIDE];
      return columns[y].reduce((total, value, each) => total + value * rows[each][x], 0);
    };
    this.product.replaceChildren(
      element("figure", { class: "b" }, tinted(SIDE, rank, rowAt), caption(rank > 1 ? `B: ${rank} rows` : "B: one row")),
      element("figure", { class: "a" }, tinted(rank, SIDE, columnAt), caption(rank > 1 ? `A: ${rank} columns` : "A: one column")),
      element("figure", { class: "ab" }, canvas(SIDE, SIDE, sum), caption("A × B")),
      own,
    );
  }
}

function caption(text) {
  return element("figcaption", {}, text);
}

/** @param {Element} rect */
function place(rect, x, y, width, height) {
  Object.assign(/** @type {SVGElement} */ (rect).style, { x: `${x}px`, y: `${y}px`, width: `${width}px`, height: `${height}px` });
}

/**
 * A picture in ink on paper, the same in both themes.
 * @param {(cell: number) => number} ink  of 0..1
 */
function canvas(width, height, ink) {
  return painted(width, height, (cell) => {
    const paper = 255 * (1 - Math.min(1, Math.max(0, ink(cell))));
    return [paper, paper, paper, 255];
  });
}

/**
 * Signed numbers: the hue is the sign, the strength the size.
 * @param {(cell: number) => {color: string, strength: number}} at
 */
function tinted(width, height, at) {
  const node = canvas(width, height, () => 0);
  const context = node.getContext("2d");
  context.clearRect(0, 0, width, height);
  for (let cell = 0; cell < width * height; cell += 1) {
    const { color, strength } = at(cell);
    context.globalAlpha = strength;
    context.fillStyle = color;
    context.fillRect(cell % width, Math.floor(cell / width), 1, 1);
  }
  return node;
}

/** @param {(cell: number) => number[]} color  red, green, blue, opacity */
function painted(width, height, color) {
  const node = /** @type {HTMLCanvasElement} */ (element("canvas", { width: String(width), height: String(height) }));
  const context = node.getContext("2d");
  const image = context.createImageData(width, height);
  for (let cell = 0; cell < width * height; cell += 1) image.data.set(color(cell), 4 * cell);
  context.putImageData(image, 0, 0);
  return node;
}

const KINDS = { share: Share, digits: Digits, layer: Layer, picture: Picture };

class SceneView {
  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.root = element("div", { class: "scene-view", "data-testid": "scene-view", role: "img" });
    this.root.addEventListener("finish", () => this.part?.finish?.());
    parent.appendChild(this.root);
  }

  /** @param {{data: Drawing}} component */
  update({ data }) {
    const theme = readTheme(this.root);
    const { kind, run, telling } = data;
    if (this.drawn === `${run} ${telling} ${theme.dark}`) return;
    this.drawn = `${run} ${telling} ${theme.dark}`;
    for (const [name, color] of Object.entries(data.colors)) {
      this.root.style.setProperty(`--${name}`, themed(color, data.dark, theme));
    }
    if (this.kind !== kind) this.part = new KINDS[kind](this.root);
    const moving = Boolean(telling) && telling !== this.told;
    this.told = telling;
    this.kind = kind;
    this.root.dataset.kind = kind;
    this.root.setAttribute("aria-label", data.alt);
    this.part.draw(data, moving, theme);
    this.root.dataset.run = run;
  }

  destroy() {
    this.root.remove();
  }
}

export default mounting((parent) => new SceneView(parent), stylesheet("view.css", import.meta.url));
