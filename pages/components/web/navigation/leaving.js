/**
 * Order of a component's reports and a change of page: no report reaches the server between the two pages.
 *
 * Between a click on a link to a page and the first message of that page, Streamlit still reports the old page as
 * the current one. A fragment rerun requested meanwhile runs under the old page's name when the new page is drawn,
 * and on that name Streamlit clears the page (seen in 1.67.0; streamlit PR 9617 stops only the reruns of
 * `run_every`). So a report after such a click waits for the new page, and the click waits for reports just before
 * it, which Streamlit sends a moment later.
 */

const PATIENCE = 10000; // ms after which reports are sent even if no other page has come
const GLANCE = 50; // ms between two checks for the other page
const BACK = 300; // ms after the browser's Back and Forward, which change the address at once
const SENT = 10; // ms after which Streamlit has sent a report: its timer of 0 ms may take 4 (seen in 1.67.0)

let left = "";
let until = 0;

/** @type {WeakSet<Event>} */
const late = new WeakSet();

/** @param {number} patience */
function leave(patience) {
  left = location.pathname;
  until = performance.now() + patience;
}

/** @param {MouseEvent} event */
function clicked(event) {
  if (!(event.target instanceof Element) || late.has(event)) return;
  const link = /** @type {HTMLAnchorElement|null} */ (event.target.closest("a[data-testid=stPageLink-NavLink]"));
  if (!link || link.pathname === location.pathname) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const again = new MouseEvent("click", event);
  late.add(again);
  setTimeout(() => link.dispatchEvent(again), SENT);
  leave(PATIENCE);
}

addEventListener("click", clicked, { capture: true });
addEventListener("popstate", () => leave(BACK));

// A link clicked before this module had come.
const early = /** @type {PerformanceMark|undefined} */ (performance.getEntriesByName("page link").at(-1));
if (early?.detail === location.pathname) leave(early.startTime + PATIENCE - performance.now());

/**
 * @template {{parentElement: Node, setTriggerValue: (name: string, value: unknown) => void}} Component
 * @param {Component} component
 * @returns {Component} a copy whose reports wait during a change of page, and are dropped with their page
 */
export function patient(component) {
  const { parentElement, setTriggerValue } = component;
  /** @type {Component["setTriggerValue"]} */
  const report = (name, value) => {
    if (performance.now() >= until || location.pathname !== left) setTriggerValue(name, value);
    else setTimeout(() => parentElement.isConnected && report(name, value), GLANCE);
  };
  return { ...component, setTriggerValue: report };
}
