/**
 * The browser's history: one entry for each page, however often its query string is written. The module acts when
 * it is loaded and exports nothing.
 *
 * A talk of a hundred key presses is one entry too, and Back leaves the stage. On a change of page Streamlit first
 * clears the query string of the old page (seen in 1.67.0); if that is the stage, its entry keeps the scene.
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
