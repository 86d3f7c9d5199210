/**
 * Light or dark for the projector, on the stage only.
 *
 * Streamlit follows the system's colour scheme, and reads it again after printing (seen in 1.67.0, which has no call
 * to change the theme of a session: streamlit issue 14172). So the stage answers for the system, and leaving it
 * restores the visitor's. A theme that was chosen in Streamlit's menu stays.
 */

const KEPT = "stage theme"; // of this tab, so that a reload keeps it
const SCHEME = /prefers-color-scheme:\s*(dark|light)/;
const system = window.matchMedia.bind(window);
/** @type {"dark"|"light"|""} */
let chosen = "";

/** @param {string} query */
function answer(query) {
  const asked = SCHEME.exec(query)?.[1];
  const list = system(query);
  if (!asked || !chosen) return list;
  return new Proxy(list, {
    get(target, name) {
      if (name === "matches") return asked === chosen;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** @param {"dark"|"light"|""} theme */
function choose(theme) {
  if (theme === chosen) return;
  chosen = theme;
  window.matchMedia = theme ? answer : system;
  dispatchEvent(new Event("afterprint"));
}

export const stageTheme = {
  arrive() {
    choose(/** @type {any} */ (sessionStorage.getItem(KEPT) ?? ""));
  },

  flip() {
    const dark = chosen ? chosen === "dark" : system("(prefers-color-scheme: dark)").matches;
    const theme = dark ? "light" : "dark";
    sessionStorage.setItem(KEPT, theme);
    choose(theme);
  },

  leave() {
    choose("");
  },
};
