/**
 * What a component tells the server on the way to another page waits for the arrival.
 *
 * Between a click on a link to a page and the first message of that page, Streamlit takes the page that is left
 * for the one shown. A fragment asked for meanwhile is run under its name when the other page is drawn, and at
 * that name Streamlit empties the page.
 */

const PATIENCE = 2000; // ms, should the other page never come
const GLANCE = 50; // ms between two looks whether it has come
const BACK = 300; // ms for the browser's Back and Forward, which change the address at once

let goal = "";
let until = 0;

/** @param {string} path  @param {number} patience */
function leave(path, patience) {
  goal = path;
  until = performance.now() + patience;
}

document.addEventListener(
  "click",
  ({ target }) => {
    const link = target instanceof Element && /** @type {HTMLAnchorElement|null} */ (target.closest("a[href]"));
    if (link && link.pathname !== location.pathname) leave(link.pathname, PATIENCE);
  },
  { capture: true },
);
addEventListener("popstate", () => leave("", BACK));

/**
 * @template {{parentElement: Node, setTriggerValue: (name: string, value: unknown) => void}} Component
 * @param {Component} component
 * @returns {Component} the same, but that what it tells while the page is left waits, and is lost with the page
 */
export function patient(component) {
  const { parentElement, setTriggerValue } = component;
  /** @type {Component["setTriggerValue"]} */
  const tell = (name, value) => {
    if (performance.now() >= until || location.pathname === goal) setTriggerValue(name, value);
    else setTimeout(() => parentElement.isConnected && tell(name, value), GLANCE);
  };
  return { ...component, setTriggerValue: tell };
}
