/**
 * What a rank moves in the figure: the handle with its two points, and on the other panel its curve and floor.
 *
 * Laid exactly over Plotly's axes and written directly, so that a move costs one path and a few attributes.
 */

const KNOB = 9; // radius in pixels

export class Overlay {
  /** @param {any} kit */
  constructor({ svg }) {
    this.line = svg("line", { class: "handle-line", y1: 0 });
    this.knob = svg("circle", { class: "knob", r: KNOB });
    this.final = svg("circle", { r: 5.5, "stroke-width": 1.5 });
    this.foot = svg("circle", { r: 4, "stroke-width": 1.5 });
    const attributes = { class: "handle", role: "slider", tabindex: 0, "aria-label": "Rank handle" };
    this.handle = svg("g", attributes, this.line, this.foot, this.final, this.knob);
    this.area = svg("rect", { class: "area", fill: "transparent" });
    this.curve = svg("path", { class: "curve", fill: "none", "stroke-width": 3 });
    this.floor = svg("line", { class: "floor", "stroke-width": 1.8, "stroke-dasharray": "7 4" });
    this.left = svg("g", {}, this.handle, this.area);
    this.right = svg("g", {}, this.floor, this.curve);
    this.root = svg("svg", { class: "overlay" }, this.right, this.left);
  }

  /**
   * @param {any} layout  Plotly's full layout, after it has drawn
   * @param {any} payload
   * @param {any} theme
   */
  place(layout, payload, theme) {
    this.axes = { x: layout.xaxis, y: layout.yaxis, x2: layout.xaxis2, y2: layout.yaxis2 };
    this.payload = payload;
    this.curves = payload.figure.data.filter((trace) => trace.meta.part === "curve").map((trace) => trace.y);
    this.finals = payload.figure.data.find((trace) => trace.name === "trained").y;
    const { x, y, x2, y2 } = this.axes;
    this.left.setAttribute("transform", `translate(${x._offset},${y._offset})`);
    this.right.setAttribute("transform", `translate(${x2._offset},${y2._offset})`);
    for (const [name, value] of Object.entries({ width: x._length, height: y._length + 2 * KNOB }))
      this.area.setAttribute(name, String(value));
    this.line.setAttribute("y2", y._length);
    this.knob.setAttribute("cy", y._length);
    this.floor.setAttribute("x2", x2._length);
    this.color(theme.dark ? (payload.dark[payload.colors.lora] ?? payload.colors.lora) : payload.colors.lora, theme.page);
    const { ranks } = payload;
    this.handle.setAttribute("aria-valuemin", ranks[0]);
    this.handle.setAttribute("aria-valuemax", ranks[ranks.length - 1]);
    this.across = Float64Array.from(this.curves[0], (_, update) => x2.c2p(update));
    this.foothold = y2._length;
  }

  color(color, page) {
    for (const node of [this.curve, this.floor, this.line]) node.setAttribute("stroke", color);
    for (const [node, fill, stroke] of [
      [this.knob, color, page],
      [this.final, color, page],
      [this.foot, page, color],
    ]) {
      node.setAttribute("fill", fill);
      node.setAttribute("stroke", stroke);
    }
  }

  /** @param {number} place  in the list of ranks */
  show(place) {
    const { x, y, y2 } = this.axes;
    const rank = this.payload.ranks[place];
    this.handle.setAttribute("transform", `translate(${x.c2p(x.d2c(rank))})`);
    this.handle.setAttribute("aria-valuenow", String(rank));
    this.handle.setAttribute("aria-valuetext", `rank ${rank}: ${this.payload.words[place]}`);
    put(this.final, this.height(this.finals[place], y));
    put(this.foot, this.height(this.payload.floors[place], y));
    const floor = this.height(this.payload.floors[place], y2);
    for (const name of ["y1", "y2"]) this.floor.setAttribute(name, String(floor));
    this.curve.setAttribute("d", this.path(this.curves[place], y2));
  }

  /** A zero, and what lies below the axis, is drawn at its foot; NaN stays NaN. */
  height(value, axis) {
    return value > 0 ? Math.min(axis._length, axis.c2p(axis.d2c(value))) : value === 0 ? axis._length : NaN;
  }

  path(values, axis) {
    let path = "";
    for (let update = 0; update < values.length; update += 1) {
      const height = this.height(values[update], axis);
      if (Number.isNaN(height)) break;
      path += `${update ? "L" : "M"}${this.across[update].toFixed(1)},${Math.max(0, height).toFixed(1)}`;
    }
    return path;
  }
}

/** A point that has no height is not shown. */
function put(node, height) {
  node.setAttribute("visibility", Number.isFinite(height) ? "visible" : "hidden");
  if (Number.isFinite(height)) node.setAttribute("cy", height.toFixed(1));
}
