/**
 * The browser's history: one entry a page, however often its address is written. Loading the module is all.
 *
 * A talk of a hundred presses is one entry too, and Back leaves the stage. On the way to another page Streamlit
 * empties the address of the page that is left; that of the stage then names no scene, and is left as it was.
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
