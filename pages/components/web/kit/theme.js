/**
 * Streamlit's theme, read from the CSS variables that it sets around a component, and applied to figures.
 */

/** @typedef {{dark: boolean, text: string, muted: string, page: string, grid: string, font: string, size: number}} Theme */

/**
 * @param {HTMLElement} root  an element inside the component; its font size is the chart's
 * @returns {Theme}
 */
export function readTheme(root) {
  const style = getComputedStyle(root);
  const read = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  const page = read("--st-background-color", "#ffffff");
  const text = read("--st-text-color", "#31333f");
  return {
    dark: luminance(page) < 0.5,
    text,
    page,
    muted: blend(text, page, 0.68),
    grid: blend(text, page, 0.12),
    font: read("--st-font", "sans-serif"),
    size: parseFloat(style.fontSize) * 0.86,
  };
}

/**
 * A copy of a colour, a trace or a layout in the colours of the theme. Numbers that came as typed arrays are shared.
 * @template T
 * @param {T} part
 * @param {Record<string, string>} twins
 * @param {Theme} theme
 * @returns {T}
 */
export function themed(part, twins, theme) {
  const inside = (each) => themed(each, twins, theme);
  if (Array.isArray(part)) return /** @type {any} */ (part.map(inside));
  if (part && typeof part === "object" && !ArrayBuffer.isView(part))
    return Object.fromEntries(Object.entries(part).map(([name, each]) => [name, inside(each)]));
  return theme.dark ? (twins[part] ?? part) : part;
}

/**
 * Parts of a layout that depend on the theme.
 * @param {Theme} theme
 */
export function themedLayout(theme) {
  const axis = { gridcolor: theme.grid, zeroline: false, linecolor: theme.grid, tickcolor: theme.grid };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: theme.font, size: theme.size, color: theme.muted },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.muted, activecolor: theme.text },
    axis,
  };
}

/**
 * A still figure's layout in the theme: its axes, and the colours of its lines and texts. Dragging is disabled.
 * @param {any} sent
 * @param {Record<string, string>} twins
 * @param {Theme} theme
 */
export function themedFigure(sent, twins, theme) {
  const { axis, modebar, ...look } = themedLayout(theme);
  const layout = { ...look, ...themed(sent, twins, theme), dragmode: false };
  for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
    const title = { ...layout[name].title, font: { size: theme.size } };
    layout[name] = { ...axis, ...layout[name], title, fixedrange: true };
  }
  const font = { size: theme.size, color: theme.muted };
  layout.annotations = layout.annotations?.map((note) => ({ ...note, font: { ...font, ...note.font } }));
  return layout;
}

/** @type {Map<string, number[]>} */
const known = new Map();

/** @param {string} color */
function channels(color) {
  if (!known.has(color)) {
    const context = new OffscreenCanvas(1, 1).getContext("2d");
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    known.set(color, [...context.getImageData(0, 0, 1, 1).data].slice(0, 3));
  }
  return known.get(color);
}

/** @param {string} color */
function luminance(color) {
  const [r, g, b] = channels(color);
  return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
}

/**
 * @param {string} over
 * @param {string} under
 * @param {number} share
 */
function blend(over, under, share) {
  const below = channels(under);
  const mixed = channels(over).map((value, index) => Math.round(value * share + below[index] * (1 - share)));
  return `rgb(${mixed.join(",")})`;
}
