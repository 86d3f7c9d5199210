/**
 * The stage in the browser: the keyboard, the overlays, full screen, and the class that styles the page.
 *
 * Acts are numbered and sent again until Python confirms how many are done: a key pressed while the page is still
 * being drawn is neither lost nor performed twice.
 */

import { element, stylesheet } from "../kit/dom.js";
import { mounting } from "../kit/mount.js";
import { actOf, isRemote } from "./keys.js";
import { Overlays } from "./overlays.js";
import { Telling } from "./telling.js";
import { stageTheme } from "./stage_theme.js";

/**
 * @typedef {object} Data
 * @property {string} stage  name of the session's stage
 * @property {string} telling  name of a reveal to be played, or empty
 * @property {import("./keys.js").Key[]} keys
 * @property {number} done  acts that Python has done
 * @property {string} notes  address of the speaker's notes
 * @property {string[]} hidden  parts of the page
 * @property {string} link  address in the code
 * @property {string[]} rows  of the code, 1 is dark
 * @property {string} note  why phones may be unable to open the link
 */

const SKIPS = new Set(["Enter", "v", " ", "PageDown"]); // keys that end a reveal at once and do nothing else
const HELD = new Set(["up", "down"]); // acts that a key repeats while it is held down
let stages = 0; // two for a moment while Streamlit rebuilds the page (seen in 1.67.0)
let session = ""; // name of the stage in Python; another one after the server has dropped a session
let done = 0; // acts that Python has done
/** @type {string[]} */
let waiting = []; // acts that it has not done, of all stages: the confirmation may reach another stage than the key

class Stage {
  /** @param {Node} parent */
  constructor(parent) {
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    this.overlays = new Overlays();
    this.telling = new Telling();
    this.root = element("div", { "data-testid": "stage" }, this.overlays.root);
    parent.appendChild(this.root);
    stages += 1;
    document.documentElement.classList.add("on-stage");
    stageTheme.arrive();
    document.addEventListener("keydown", (event) => this.take(event), { signal, capture: true });
    document.addEventListener("keydown", (event) => this.press(event), { signal });
    document.addEventListener("pointerup", () => setTimeout(blurControl), { signal });
  }

  /** @param {{data: Data, setStateValue: (name: string, value: unknown) => void}} component */
  update({ data, setStateValue: send }) {
    this.send = send;
    const anew = data.stage !== session && session !== "";
    if (!anew) waiting.splice(0, data.done - done);
    session = data.stage;
    done = data.done;
    this.data = data;
    if (anew && waiting.length) this.report(); // pressed while the server had forgotten this tab
    document.documentElement.dataset.stageHides = data.hidden.join(" ");
    this.root.dataset.done = String(data.done);
    this.overlays.load(data);
    this.telling.load(data.telling);
  }

  /**
   * A remote's key, in the capture phase: a slider handles Page Down itself, and F5 would reload the page.
   * @param {KeyboardEvent} event
   */
  take(event) {
    if (this.skips(event)) {
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    if (!isRemote(event) || !actOf(this.data.keys, event)) return;
    this.press(event);
    event.preventDefault(); // also for a repeat, which is no act
    event.stopPropagation();
  }

  /** @param {KeyboardEvent} event */
  skips(event) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!this.telling.on || event.repeat || !SKIPS.has(key)) return false;
    if (key !== " " && !actOf(this.data.keys, event)) return false; // the focused element uses it
    return this.telling.finish();
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const found = actOf(this.data.keys, event);
    if (!found || found.act === "play" || (event.repeat && !HELD.has(found.act))) return;
    if (found.act === "stop" && !this.canStop()) return;
    event.preventDefault();
    const { act, key } = found;
    if (act in this.overlays.dialogs) return this.overlays.toggle(act);
    if (this.overlays.close() && act === "stop") return;
    if (act === "full") toggleFull();
    else if (act === "step") stepButton()?.click();
    else if (act === "theme") stageTheme.flip();
    else if (act === "notes") this.openNotes();
    else this.act(act === "choose" ? `choose ${key}` : act);
  }

  /** Whether Escape closes or stops something of the stage; if not, it is left to the browser. */
  canStop() {
    return this.data.hidden.length > 0 || waiting.length > 0 || this.overlays.isOpen();
  }

  /** @param {string} act */
  act(act) {
    waiting.push(act);
    this.report();
  }

  openNotes() {
    this.act("notes");
    window.open(this.data.notes, "stage-notes", "popup,width=900,height=640");
  }

  report() {
    this.send("acts", { stage: session, first: done, acts: [...waiting] });
  }

  destroy() {
    this.listeners.abort();
    this.root.remove();
    this.telling.destroy();
    stages -= 1;
    if (stages) return; // the page keeps its style for the other one
    waiting = [];
    stageTheme.leave();
    document.documentElement.classList.remove("on-stage");
    delete document.documentElement.dataset.stageHides;
    delete document.documentElement.dataset.stageTold;
  }
}

/** Remove the focus from a slider or a button after a click: with it, the element would use arrows and Enter. */
function blurControl() {
  const held = document.activeElement;
  if (held instanceof HTMLElement && held.closest("[data-testid=stMain]")) {
    if (held.matches("button, summary, [role=slider], input[type=range], input[type=radio]")) held.blur();
  }
}

function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.();
}

/** @returns {HTMLButtonElement|null} */
function stepButton() {
  return document.querySelector("[data-testid=live-chart] button[aria-label=Step]");
}

export default mounting((parent) => new Stage(parent), stylesheet("on_stage.css", import.meta.url));
