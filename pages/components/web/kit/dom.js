/**
 * Elements, icons and stylesheets of all components. Text is inserted as text, never as markup.
 */

/**
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node|string)} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/**
 * @param {string} tag
 * @param {Record<string, string|number>} [attributes]
 * @param {...SVGElement} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return /** @type {SVGElement} */ (node);
}

/** Outlines on a 24 x 24 grid. */
const ICONS = {
  play: "M8 5v14l11-7z",
  pause: "M6 5h4v14H6zM14 5h4v14h-4z",
  step: "M6 5v14l9-7zM16 5h3v14h-3z",
  restart: "M12 5V1.5L7 6l5 4.5V7a5.5 5.5 0 1 1-5.5 5.5h-2A7.5 7.5 0 1 0 12 5z",
  full: "M4 4h6v2H6v4H4zM14 4h6v6h-2V6h-4zM4 14h2v4h4v2H4zM18 14h2v6h-6v-2h4z",
  save: "M11 4h2v8.2l2.6-2.6L17 11l-5 5-5-5 1.4-1.4 2.6 2.6zM5 18h14v2H5z",
};

/**
 * @param {keyof typeof ICONS} name
 * @returns {SVGElement}
 */
export function icon(name) {
  return svg(
    "svg",
    { viewBox: "0 0 24 24", "aria-hidden": "true", class: "icon" },
    svg("path", { d: ICONS[name] }),
  );
}

/**
 * A button that shows an icon; its label is its accessible name.
 * @param {keyof typeof ICONS} name
 * @param {string} label
 * @returns {HTMLButtonElement}
 */
export function iconButton(name, label) {
  const attributes = { type: "button", class: "icon-button", "aria-label": label, title: label };
  return /** @type {HTMLButtonElement} */ (element("button", attributes, icon(name)));
}

/** Plotly's dashes as SVG writes them. */
export const DASHES = { dot: "2 3", dash: "6 4", dashdot: "8 3 2 3", longdash: "11 4", longdashdot: "11 3 2 3" };

/**
 * A piece of a curve's line, for a legend.
 * @param {{color: string, dash?: string, width: number}} line
 * @param {number} [length]
 */
export function swatch(line, length = 26) {
  const stroke = {
    x1: 0,
    y1: 4,
    x2: length,
    y2: 4,
    stroke: line.color,
    "stroke-width": line.width,
    "stroke-dasharray": DASHES[line.dash] ?? "none",
  };
  return svg("svg", { class: "swatch", width: length, height: 8, "aria-hidden": "true" }, svg("line", stroke));
}

/**
 * Add a stylesheet that is served beside a module to the page.
 * @param {string} name
 * @param {string} module  the module's own URL
 * @returns {Promise<Event>} resolved when it has loaded, or failed to
 */
export function stylesheet(name, module) {
  const link = element("link", { rel: "stylesheet", href: new URL(name, module).href });
  return new Promise((resolve) => {
    for (const type of ["load", "error"]) link.addEventListener(type, resolve);
    document.head.append(link);
  });
}
