/**
 * Which key does what, and whose key it is: one that somebody types with, or moves a slider with, is theirs.
 */

/** @typedef {{act: string, keys: string[], says: string}} Key */

const TYPING =
  "input:not([type=range], [type=checkbox], [type=radio], [type=button]), textarea, select, " +
  "[contenteditable]:not([contenteditable=false]), [role=textbox], [role=combobox], [role=listbox], " +
  "[role=option], [role=menu], [role=menuitem], [role=spinbutton]";
const MOVING = "[role=slider], input[type=range], [role=tab], [role=radio], input[type=radio]";
const PRESSED = "button, summary, a[href], [role=button], [role=switch], [role=checkbox], input[type=checkbox]";

/**
 * @param {Key[]} table
 * @param {KeyboardEvent} event
 * @returns {{act: string, key: string}|null}  the act of a key that nobody else has a use for
 */
export function actOf(table, event) {
  if (event.defaultPrevented || event.isComposing) return null;
  if (event.ctrlKey || event.altKey || event.metaKey) return null;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const found = table.find(({ keys }) => keys.includes(key));
  if (!found || isTheirs(key, event.composedPath()[0])) return null;
  return { act: found.act, key };
}

/**
 * @param {string} key
 * @param {EventTarget} target
 */
function isTheirs(key, target) {
  if (!(target instanceof Element)) return false;
  if (target.closest(TYPING)) return true;
  if (target.closest(MOVING)) return /^(Arrow|Page|Home|End)/.test(key);
  return Boolean(target.closest(PRESSED)) && key === "Enter";
}

/**
 * How a key is called in the help.
 * @param {string} key
 */
export function keyName(key) {
  const names = { " ": "Space", PageDown: "Page Down", PageUp: "Page Up" };
  const arrows = { ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓" };
  return names[key] ?? arrows[key] ?? (key.length === 1 ? key.toUpperCase() : key);
}
