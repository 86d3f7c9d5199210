/**
 * Play, step, restart, the scrub bar, speed: the controls of a playback, and nothing of what they move.
 */

import { element, icon, iconButton } from "./dom.js";

const SPEEDS = [0.5, 1, 2, 4];

export class Transport {
  /**
   * @param {import("./player.js").Player} player
   * @param {(epoch: number) => void} chosen  called when a hand has let go of the scrub bar
   * @param {AbortSignal} signal
   */
  constructor(player, chosen, signal) {
    this.player = player;
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
    this.listen(chosen, signal);
  }

  listen(chosen, signal) {
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
    on(this.scrub, "change", () => chosen(Number(this.scrub.value)));
  }

  /**
   * @param {number} last
   * @param {[number, number]|null} streaming
   */
  load(last, streaming) {
    this.last = last;
    this.scrub.max = String(last);
    for (const button of [this.play, this.step, this.restart]) button.disabled = Boolean(streaming);
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
   * @param {number} epoch
   * @param {boolean} playing
   */
  show(epoch, playing) {
    this.scrub.value = String(epoch);
    this.scrub.style.setProperty("--done", `${(100 * epoch) / Math.max(1, Number(this.scrub.max))}%`);
    this.scrub.setAttribute("aria-valuetext", `${epoch} of ${this.scrub.max} updates`);
    this.count.textContent = `${epoch} / ${this.scrub.max}`;
    if (playing === this.showing) return;
    this.showing = playing;
    const name = playing ? "Pause" : "Play";
    this.play.replaceChildren(icon(playing ? "pause" : "play"));
    this.play.setAttribute("aria-label", name);
    this.play.title = `${name} (Space)`;
  }
}

function speeds() {
  const choices = SPEEDS.map((speed) => element("option", { value: String(speed) }, `${speed}×`));
  const select = element("select", { class: "speed", "aria-label": "Speed", title: "Speed" }, ...choices);
  /** @type {HTMLSelectElement} */ (select).value = "1";
  return /** @type {HTMLSelectElement} */ (select);
}
