/**
 * The browser's history, one entry for each page, however often its query string is written, and the links to pages.
 * The module acts when it is loaded and exports nothing.
 *
 * A talk of a hundred key presses is one entry too, and Back leaves the stage. On a change of page Streamlit first
 * clears the query string of the old page (seen in 1.67.0); if that is the stage, its entry keeps the scene.
 *
 * A click on a link to another page is noted for `leaving.js`, which comes later.
 */

/**
 * @param {unknown} state
 * @param {string} title
 * @param {string} url
 */
function push(state, title, url) {
  const { pathname, searchParams } = new URL(url, location.href);
  const { pushState, replaceState } = History.prototype;
  const onStage = new URLSearchParams(location.search).has("scene");
  if (pathname !== location.pathname) pushState.call(history, state, title, url);
  else if (!onStage || searchParams.has("scene")) replaceState.call(history, state, title, url);
}

history.pushState = push;

/**
 * The page link at an event's target. Streamlit writes the link to the first page without a path, so that a new tab
 * would open the current page (seen in 1.67.0); the link gets the first page's path.
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
  if (!link) return;
  // For a new tab or window, which Streamlit's own handler would not open (seen in 1.67.0).
  if (event.ctrlKey || event.metaKey || event.shiftKey) event.stopImmediatePropagation();
  else if (link.pathname !== location.pathname) performance.mark("page link", { detail: location.pathname });
}

addEventListener("pointerdown", linkAt, { capture: true });
addEventListener("click", clicked, { capture: true });
