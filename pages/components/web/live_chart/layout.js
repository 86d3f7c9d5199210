/**
 * Plotly's layout: that of the message, with the current theme, size, axis and zoom.
 */

import { labelShifts } from "./labels.js";
import { themed, themedLayout } from "../kit/theme.js";

/** @typedef {import("../kit/series.js").Payload} Payload */
/** @typedef {import("../kit/theme.js").Theme} Theme */
/** @typedef {"log"|"linear"} Kind */
/** @typedef {{value: number, shape: any, annotation: any}} Floor */

/** In a narrower chart floors are labelled by their value alone: CSS pixels, and letters of the chart's size. */
const [NARROW, FEW_LETTERS] = [480, 24];

/**
 * @param {Payload} payload
 * @param {Theme} theme
 * @param {Kind} kind
 * @param {{x?: number[], y?: number[]}} zoom
 * @param {{width: number, height: number}} box
 */
export function layout(payload, theme, kind, zoom, { width, height }) {
  const { figure, epochs, dark } = payload;
  const { axis, ...look } = themedLayout(theme);
  const { size } = theme;
  const home = figure.layout.meta.axes[kind];
  const short = payload.rank != null && !figure.layout.meta.named; // a line with a name of its own is no floor
  const floors = placedFloors(payload, kind, short ? "floor " : width < Math.max(NARROW, FEW_LETTERS * size) ? "" : null);
  const side = short ? textWidth("floor 0.00000", theme) + 16 : labelRoom(floors, theme);
  const range = zoom.y ?? (kind === "log" ? home.range.map(Math.log10) : home.range);
  const decades = range[1] - range[0];
  const margin = { l: size * (short && decades > 1.2 ? 4 : 5), r: side, t: size * 2.2, b: size * 3.4 };
  const room = height - margin.t - margin.b;
  return {
    ...look,
    width,
    height,
    margin,
    showlegend: false,
    hovermode: false, // a pointer moves the read-out instead of opening a box over the curves
    uirevision: payload.zoom,
    xaxis: {
      ...axis,
      ...figure.layout.xaxis,
      range: zoom.x ?? [0, epochs],
      dtick: epochs <= 10 ? 1 : undefined,
      title: { ...figure.layout.xaxis.title, font: { size }, standoff: size * 0.6 },
    },
    yaxis: {
      ...axis,
      ...figure.layout.yaxis,
      type: kind,
      range,
      dtick: kind === "log" && decades > 1.2 && decades < 8 ? 1 : undefined,
      nticks: Math.max(3, Math.min(9, Math.round(room / (2.5 * size)))),
      tickformat: "~g",
      title: { text: fitting(home.title, room, theme), font: { size } },
    },
    shapes: floors.map(({ shape }) => ({
      ...shape,
      layer: "below",
      line: { ...shape.line, color: themed(shape.line.color, dark, theme) },
    })),
    annotations: floorLabels(floors, { range, height: room }, payload, theme),
  };
}

/**
 * Layout of a downloaded picture: with a legend, a page colour, and a font that every viewer has.
 * @param {any} shown  the layout on the screen
 * @param {Payload} payload
 * @param {Theme} theme
 * @param {Kind} kind
 * @param {{width: number, height: number}} box
 */
export function pictureLayout(shown, payload, theme, kind, { width, height }) {
  const plain = { ...theme, font: "Arial, sans-serif", size: 16 };
  const font = { family: plain.font, size: plain.size, color: theme.muted };
  const picture = structuredClone(shown);
  const floors = placedFloors(payload, kind, null);
  const margin = { l: 90, r: labelRoom(floors, plain), t: payload.title ? 110 : 80, b: 70 };
  for (const axis of [picture.xaxis, picture.yaxis]) axis.title.font = font;
  const span = { range: picture.yaxis.range, height: height - margin.t - margin.b };
  return Object.assign(picture, {
    width,
    height,
    margin,
    font,
    showlegend: true,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", traceorder: "reversed" },
    title: { text: payload.title, x: margin.l / width, y: 1 - 30 / height, font: { ...font, color: theme.text } },
    paper_bgcolor: theme.page,
    annotations: floorLabels(floors, span, payload, plain),
  });
}

/** Whether the pointer is a touch screen's: it scrolls the page or scrubs, and gets no tool bar. */
export function coarse() {
  return matchMedia("(pointer: coarse)").matches;
}

/**
 * Lines and labels of the floors on this axis. Python places them for the log axis, with a zero at its foot.
 * @param {Payload} payload
 * @param {Kind} kind
 * @param {string|null} word  prefix of the floor's value in place of its name; null: keep the name
 * @returns {Floor[]}
 */
function placedFloors(payload, kind, word) {
  const { shapes = [], annotations = [], meta } = payload.figure.layout;
  return shapes.map((shape, index) => {
    const value = meta.floors[index];
    const { text } = annotations[index];
    const beyond = kind === "log" && word !== null && annotations[index].yref === "paper" ? " ↓" : ""; // lies lower
    const annotation = { ...annotations[index], text: word === null ? text : word + text.slice(text.lastIndexOf(":") + 2) + beyond };
    if (kind === "log") return { value, shape, annotation };
    const line = { ...shape, yref: "y", y0: value, y1: value };
    return { value, shape: line, annotation: { ...annotation, yref: "y", y: value } };
  });
}

/**
 * Labels of the floors, moved apart on an axis of the given range and height (in pixels).
 * @param {Floor[]} floors
 * @param {{range: number[], height: number}} span
 * @param {Payload} payload
 * @param {Theme} theme
 */
function floorLabels(floors, span, payload, theme) {
  const shifts = labelShifts(floors, span, theme.size * 1.3);
  return floors.map(({ annotation }, index) => ({
    ...annotation,
    yshift: shifts[index],
    font: { color: themed(annotation.font.color, payload.dark, theme) },
  }));
}

/**
 * Width in pixels of the margin that holds the labels of the floors.
 * @param {Floor[]} floors
 * @param {Theme} theme
 */
function labelRoom(floors, theme) {
  return Math.max(12, ...floors.map(({ annotation }) => textWidth(annotation.text, theme) + 14));
}

/**
 * A title, without its bracket if the whole does not fit.
 * @param {string} text
 * @param {number} room
 * @param {Theme} theme
 */
function fitting(text, room, theme) {
  return textWidth(text, theme) < room ? text : text.replace(/ \(.*\)$/, "");
}

const ruler = new OffscreenCanvas(1, 1).getContext("2d");

/**
 * @param {string} text
 * @param {Theme} theme
 */
function textWidth(text, theme) {
  ruler.font = `${theme.size}px ${theme.font}`;
  return ruler.measureText(text).width;
}
