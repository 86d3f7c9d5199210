/**
 * Texts that Streamlit has drawn and that a component writes over while a hand holds another value.
 *
 * Streamlit's own text nodes stay in place and are written into; after the release Streamlit writes the same.
 */

/**
 * The first text node of what Streamlit has drawn at a selector.
 * @param {string} selector
 * @returns {Node|null}
 */
export function textAt(selector) {
  const drawn = document.querySelector(selector);
  return drawn && document.createTreeWalker(drawn, NodeFilter.SHOW_TEXT).nextNode();
}

/**
 * @param {Node|null} node
 * @param {string} words
 */
export function write(node, words) {
  if (node && node.nodeValue !== words) node.nodeValue = words;
}

/**
 * Call `act` after every change of texts on the page and before the next frame, in which an answer to an older value
 * would otherwise be seen.
 * @param {() => void} act
 * @param {AbortSignal} signal
 */
export function afterTexts(act, signal) {
  const observer = new MutationObserver(act);
  observer.observe(document.body, { subtree: true, childList: true, characterData: true });
  signal.addEventListener("abort", () => observer.disconnect());
}
