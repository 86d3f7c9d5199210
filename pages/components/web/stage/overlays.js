/**
 * Overlays of the stage, open one at a time: the help, the QR code for phones, a black screen.
 */

import { element, svg } from "../kit/dom.js";
import { keyName } from "./keys.js";

const QUIET = 4; // modules of white around the code, as ISO/IEC 18004 requires

export class Overlays {
  constructor() {
    this.root = element("div");
    /** @type {Record<string, HTMLDialogElement>} */
    this.dialogs = {};
    for (const [name, label] of [["help", "Keys"], ["code", "Code for phones"], ["blank", "Black screen"]]) {
      const dialog = element("dialog", { class: `stage-overlay ${name}`, "aria-label": label });
      dialog.addEventListener("click", () => dialog.close());
      this.dialogs[name] = dialog;
      this.root.append(dialog);
    }
  }

  /** @param {{keys: import("./keys.js").Key[], link: string, rows: string[], note: string}} data */
  load(data) {
    this.loadHelp(data.keys);
    this.loadCode(data);
  }

  loadHelp(keys) {
    const lines = keys.flatMap(({ keys: names, says }) => {
      const shown = names.length > 3 ? [names[0], "…", names.at(-1)] : names;
      const caps = shown.map((key) => (key === "…" ? "… " : element("kbd", {}, keyName(key))));
      return [element("dt", {}, ...caps), element("dd", {}, says)];
    });
    this.dialogs.help.replaceChildren(element("h2", {}, "Keys"), element("dl", {}, ...lines));
  }

  loadCode({ link, rows, note }) {
    const size = rows.length + 2 * QUIET;
    const dark = rows.flatMap((row, y) => [...row].map((cell, x) => (cell === "1" ? `M${x + QUIET} ${y + QUIET}h1v1h-1z` : "")));
    const paper = svg("rect", { width: size, height: size, fill: "white" });
    const code = svg("path", { d: dark.join(""), fill: "black" });
    const picture = { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": `QR code of ${link}`, "shape-rendering": "crispEdges" };
    const words = [element("p", { class: "address" }, new URL(link).host), element("p", { class: "link" }, link)];
    const shown = rows.length ? [svg("svg", picture, paper, code), element("div", {}, ...words)] : [element("p", { class: "note" }, note)];
    this.dialogs.code.replaceChildren(...shown);
    this.dialogs.code.dataset.link = link;
  }

  /** @param {string} name */
  toggle(name) {
    const open = this.dialogs[name].open;
    this.close();
    if (!open) this.dialogs[name].showModal();
  }

  isOpen() {
    return Object.values(this.dialogs).some(({ open }) => open);
  }

  /** @returns {boolean}  whether one was open */
  close() {
    const wasOpen = this.isOpen();
    for (const dialog of Object.values(this.dialogs)) dialog.close();
    return wasOpen;
  }
}
