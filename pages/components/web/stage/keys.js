/**
 * The act of a key, if the key belongs to the stage: a focused field or slider keeps the keys that it uses,
 * except those of a presentation remote.
 */

/** @typedef {{act: string, keys: string[], says: string}} Key */

const TYPING =
  "input:not([type=range], [type=checkbox], [type=radio], [type=button]), textarea, select, " +
  "[contenteditable]:not([contenteditable=false]), [role=textbox], [role=combobox], [role=listbox], " +
  "[role=option], [role=menu], [role=menuitem], [role=spinbutton]";
const MOVING = "[role=slider], input[type=range], [role=tab], [role=radio], input[type=radio]";
const PRESSED = "button, summary, a[href], [role=button], [role=switch], [role=checkbox], input[type=checkbox]";

/** Keys of a presentation remote that the stage takes from any focused element; its letters may be meant as text. */
const REMOTE = ["PageDown", "PageUp", "F5"];

/**
 * @param {KeyboardEvent} event
 * @returns {boolean}  whether the stage takes the key before the focused element sees it
 */
export function isRemote(event) {
  return REMOTE.includes(event.key);
}

/**
 * @param {Key[]} table
 * @param {KeyboardEvent} event
 * @returns {{act: string, key: string}|null}  the act of a key that the focused element does not use
 */
export function actOf(table, event) {
  if (event.defaultPrevented || event.isComposing) return null;
  if (event.ctrlKey || event.altKey || event.metaKey) return null;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const found = table.find(({ keys }) => keys.includes(key));
  if (!found || (!isRemote(event) && isUsedBy(event.composedPath()[0], key))) return null;
  return { act: found.act, key };
}

/**
 * @param {EventTarget} target
 * @param {string} key
 */
function isUsedBy(target, key) {
  if (!(target instanceof Element)) return false;
  if (target.closest(TYPING)) return true;
  if (target.closest(MOVING)) return /^(Arrow|Home|End)/.test(key);
  return Boolean(target.closest(PRESSED)) && key === "Enter";
}

/**
 * The name of a key in the help.
 * @param {string} key
 */
export function keyName(key) {
  const names = { " ": "Space", PageDown: "Page Down", PageUp: "Page Up" };
  const arrows = { ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓" };
  return names[key] ?? arrows[key] ?? (key.length === 1 ? key.toUpperCase() : key);
}
