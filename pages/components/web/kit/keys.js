/**
 * Space as the key for play and pause, wherever the focus is, except on elements that use Space themselves.
 */

const USES_SPACE =
  "button, select, textarea, summary, [contenteditable]:not([contenteditable=false]), " +
  "input:not([type=range]), [role=button], [role=checkbox], [role=switch], [role=radio], [role=tab], " +
  "[role=option], [role=combobox], [role=listbox], [role=menuitem], [role=textbox], [role=dialog] *";

/**
 * @param {() => void} toggle
 * @param {AbortSignal} signal
 */
export function listenForSpace(toggle, signal) {
  const act = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== " " || event.defaultPrevented || event.repeat) return;
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const target = event.composedPath()[0];
    if (target instanceof Element && target.closest(USES_SPACE)) return;
    event.preventDefault();
    toggle();
  };
  document.addEventListener("keydown", act, { signal });
}
