/**
 * What a page tells the server on the way to another page must not come between the two.
 *
 * Between a click on a link to a page and the first message of that page, Streamlit takes the page that is left
 * for the one shown. A fragment asked for meanwhile is run under its name when the other page is drawn, and at
 * that name Streamlit empties the page. So what a component tells after such a click waits for the arrival, and
 * the click itself waits for what was told just before it: Streamlit sends that a moment later.
 */

const PATIENCE = 10000; // ms, should the other page never come
const GLANCE = 50; // ms between two looks whether it has come
const BACK = 300; // ms for the browser's Back and Forward, which change the address at once
const SENT = 10; // ms after which Streamlit has sent what it was told: its timer of 0 ms may take 4

let left = "";
let until = 0;

/** @type {WeakSet<Event>} */
const late = new WeakSet();

/** @param {number} patience */
function leave(patience) {
  left = location.pathname;
  until = performance.now() + patience;
}

/**
 * The link to a page that an event is at. Streamlit writes the one to the first page without a path, as if to any
 * page; it gets that page's, so that a new tab opens there too.
 *
 * @param {Event} event
 * @returns {HTMLAnchorElement|null}
 */
function linkAt({ target }) {
  if (!(target instanceof Element)) return null;
  const link = /** @type {HTMLAnchorElement|null} */ (target.closest("a[data-testid=stPageLink-NavLink]"));
  const address = link?.getAttribute("href") ?? "";
  if (/^(\?|$)/.test(address)) link?.setAttribute("href", "./" + address);
  return link;
}

/** @param {MouseEvent} event */
function clicked(event) {
  const link = linkAt(event);
  if (!link || late.has(event) || link.pathname === location.pathname) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const again = new MouseEvent("click", event);
  late.add(again);
  setTimeout(() => link.dispatchEvent(again), SENT);
  leave(PATIENCE);
}

addEventListener("pointerdown", linkAt, { capture: true });
addEventListener("click", clicked, { capture: true });
addEventListener("popstate", () => leave(BACK));

/**
 * @template {{parentElement: Node, setTriggerValue: (name: string, value: unknown) => void}} Component
 * @param {Component} component
 * @returns {Component} the same, but that what it tells while the page is left waits, and is lost with the page
 */
export function patient(component) {
  const { parentElement, setTriggerValue } = component;
  /** @type {Component["setTriggerValue"]} */
  const tell = (name, value) => {
    if (performance.now() >= until || location.pathname !== left) setTriggerValue(name, value);
    else setTimeout(() => parentElement.isConnected && tell(name, value), GLANCE);
  };
  return { ...component, setTriggerValue: tell };
}
