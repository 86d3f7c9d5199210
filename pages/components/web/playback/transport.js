/**
 * Controls of a playback: play, step, restart, the scrub bar, speed. They are independent of what is played.
 */

import { element, icon, iconButton, stylesheet } from "../kit/dom.js";

const SPEEDS = [0.5, 1, 2, 4];
/** Milliseconds of rest after which a place reached by buttons counts as chosen. */
const REST = 600;

/** Settled when the stylesheet has loaded. */
export const transportStyled = stylesheet("transport.css", import.meta.url);

export class Transport {
  /**
   * @param {import("./player.js").Player} player
   * @param {(place: number) => void} chosen  called with the place when the scrub bar is released, a playback
   *   has stopped, or no button was pressed for a while
   * @param {AbortSignal} signal
   */
  constructor(player, chosen, signal) {
    this.player = player;
    this.chosen = chosen;
    this.play = iconButton("play", "Play");
    this.step = iconButton("step", "Step");
    this.restart = iconButton("restart", "Restart");
    this.scrub = /** @type {HTMLInputElement} */ (
      element("input", { type: "range", min: "0", step: "1", class: "scrub", "aria-label": "Epoch" })
    );
    this.count = element("span", { class: "count" });
    this.speed = speeds();
    this.progress = element("div", { class: "progress", role: "progressbar", "aria-label": "Training" });
    const buttons = element("div", { class: "buttons" }, this.play, this.step, this.restart);
    const parts = [buttons, this.scrub, this.progress, this.count, this.speed];
    this.root = element("div", { class: "transport" }, ...parts);
    this.listen(signal);
  }

  /** @param {AbortSignal} signal */
  listen(signal) {
    const { player } = this;
    const on = (node, type, act) => node.addEventListener(type, act, { signal });
    on(this.play, "click", () => player.toggle());
    on(this.step, "click", () => player.step());
    on(this.restart, "click", () => player.seek(0));
    on(this.speed, "change", () => (player.speed = Number(this.speed.value)));
    on(this.scrub, "input", () => {
      const epoch = Number(this.scrub.value);
      if (player.playing) player.pause();
      player.seek(epoch);
    });
    on(this.scrub, "change", () => this.report());
  }

  /**
   * @param {number} last  of the places on the scrub bar, from 0
   * @param {[number, number]|null} streaming  updates done and in all while the run is still trained
   */
  load(last, streaming = null) {
    this.last = last;
    this.scrub.max = String(last);
    for (const button of [this.play, this.step, this.restart]) button.disabled = Boolean(streaming) || last === 0;
    this.scrub.disabled = last === 0;
    this.scrub.hidden = Boolean(streaming);
    this.progress.hidden = !streaming;
    if (!streaming) return;
    const [done, total] = streaming;
    this.scrub.max = String(total);
    this.progress.setAttribute("aria-valuemax", String(total));
    this.progress.setAttribute("aria-valuenow", String(done));
    this.progress.style.setProperty("--done", `${(100 * done) / total}%`);
  }

  /**
   * @param {number} place  on the scrub bar
   * @param {boolean} playing
   * @param {string} count  text beside the bar
   * @param {string} spoken  the bar's text for screen readers
   */
  show(
    place,
    playing,
    count = `${place} / ${this.scrub.max}`,
    spoken = `${place} of ${this.scrub.max} updates`,
  ) {
    this.scrub.value = String(place);
    this.scrub.style.setProperty("--done", `${(100 * place) / Math.max(1, Number(this.scrub.max))}%`);
    this.scrub.setAttribute("aria-valuetext", spoken);
    this.count.textContent = count;
    this.place = place;
    clearTimeout(this.reporting);
    if (!playing && place !== this.reported) {
      this.reporting = setTimeout(() => this.report(), this.showing ? 0 : REST);
    }
    if (playing === this.showing) return;
    this.showing = playing;
    const name = playing ? "Pause" : "Play";
    this.play.replaceChildren(icon(playing ? "pause" : "play"));
    this.play.setAttribute("aria-label", name);
    this.play.title = `${name} (Space)`;
  }

  /** Take the current place, set by the component and not by its user, as reported already. */
  settle() {
    clearTimeout(this.reporting);
    this.reported = this.place;
  }

  report() {
    clearTimeout(this.reporting);
    if (this.place === this.reported) return;
    this.reported = this.place;
    this.chosen(this.place);
  }

  destroy() {
    clearTimeout(this.reporting);
  }
}

function speeds() {
  const choices = SPEEDS.map((speed) => element("option", { value: String(speed) }, `${speed}×`));
  const select = element("select", { class: "speed", "aria-label": "Speed", title: "Speed" }, ...choices);
  /** @type {HTMLSelectElement} */ (select).value = "1";
  return /** @type {HTMLSelectElement} */ (select);
}
