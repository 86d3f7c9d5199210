/**
 * Controls of the chart: log axis (beside the axis that it changes), download and full screen.
 */

import { element, icon, iconButton } from "../kit/dom.js";

export class Tools {
  /**
   * @param {{log: (on: boolean) => void, download: (format: "png"|"svg") => void, full: () => void}} act
   * @param {AbortSignal} signal
   */
  constructor(act, signal) {
    this.log = /** @type {HTMLInputElement} */ (element("input", { type: "checkbox" }));
    this.axis = element("label", { class: "axis" }, this.log, "Log axis");
    this.full = iconButton("full", "Full screen");
    this.root = element("div", { class: "tools" }, menu(act.download, signal), this.full);
    this.log.addEventListener("change", () => act.log(this.log.checked), { signal });
    this.full.addEventListener("click", act.full, { signal });
  }
}

/**
 * @param {(format: "png"|"svg") => void} download
 * @param {AbortSignal} signal
 */
function menu(download, signal) {
  const look = { class: "icon-button", "aria-label": "Download", title: "Download" };
  const list = element("div", { class: "menu" });
  const details = element("details", {}, element("summary", look, icon("save")), list);
  const close = () => details.removeAttribute("open");
  for (const format of ["PNG", "SVG"]) {
    const button = element("button", { type: "button" }, format);
    const save = () => {
      close();
      download(/** @type {"png"|"svg"} */ (format.toLowerCase()));
    };
    button.addEventListener("click", save, { signal });
    list.append(button);
  }
  const elsewhere = (/** @type {Event} */ event) => {
    if (!event.composedPath().includes(details)) close();
  };
  document.addEventListener("click", elsewhere, { signal });
  details.addEventListener("keydown", (event) => event.key === "Escape" && close(), { signal });
  return details;
}
