/**
 * A button that copies a link. If the browser denies access to the clipboard, a text field to copy from by hand.
 */

import { element, stylesheet } from "../kit/dom.js";
import { mounting } from "../kit/mount.js";

const SAID = 2500; // ms for which the button confirms the copy

class CopyLink {
  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.button = element("button", { type: "button" }, "Copy link");
    this.status = element("span", { class: "said", role: "status" });
    this.field = /** @type {HTMLInputElement} */ (
      element("input", { type: "text", readonly: "", "aria-label": "The link, to copy by hand" })
    );
    this.field.hidden = true;
    this.root = element("div", { class: "copy-link" }, this.button, this.status, this.field);
    parent.appendChild(this.root);
    this.button.addEventListener("click", () => this.copy());
    this.field.addEventListener("blur", () => (this.field.hidden = true));
  }

  /** @param {{data: {link: string}}} component */
  update({ data }) {
    this.link = data.link;
    this.field.value = data.link;
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.link);
      this.say("Copied");
    } catch {
      this.field.hidden = false;
      this.field.select();
      this.say("Copy by hand");
    }
  }

  /** @param {string} words */
  say(words) {
    clearTimeout(this.saying);
    this.button.textContent = words;
    this.status.textContent = words;
    this.saying = setTimeout(() => {
      this.button.textContent = "Copy link";
      this.status.textContent = "";
    }, SAID);
  }

  destroy() {
    clearTimeout(this.saying);
    this.root.remove();
  }
}

export default mounting((parent) => new CopyLink(parent), stylesheet("copy_link.css", import.meta.url));
