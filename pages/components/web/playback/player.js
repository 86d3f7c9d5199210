/**
 * The clock of a playback, independent of what is played.
 *
 * A complete playback takes the same time for ten updates as for two thousand. With `prefers-reduced-motion` it
 * shows a dozen still pictures instead of a movement.
 */

const SECONDS = 7;
const STILLS = 12;

export class Player {
  /**
   * @param {(head: number, playing: boolean) => void} show  called with the (fractional) update to show
   */
  constructor(show) {
    this.show = show;
    this.head = 0;
    this.last = 0;
    this.speed = 1;
    this.seconds = SECONDS;
    this.playing = false;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.frame = 0;
  }

  /** Update whose numbers are shown. */
  get epoch() {
    return Math.floor(this.head + 1e-9);
  }

  /**
   * Take a run with `last` updates, and show `head` of them, unless a playback is running.
   * @param {number} last
   * @param {number} [head]
   */
  load(last, head = last) {
    this.head = this.playing && this.last ? (this.head / this.last) * last : head;
    this.last = last;
    this.show(this.head, this.playing);
  }

  /** @param {number} epoch */
  seek(epoch) {
    this.head = Math.min(Math.max(epoch, 0), this.last);
    this.progress = this.last ? this.head / this.last : 1;
    this.show(this.head, this.playing);
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** @param {number} [seconds]  of a complete playback */
  play(seconds = SECONDS) {
    if (!this.last) return;
    this.seconds = seconds;
    this.playing = true;
    this.seek(this.head >= this.last ? 0 : this.head);
    this.before = undefined;
    this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  pause() {
    cancelAnimationFrame(this.frame);
    this.playing = false;
    this.seek(this.epoch);
  }

  /** Go to the end and stop there. */
  finish() {
    if (this.playing) this.pause();
    this.seek(this.last);
  }

  /** Advance by one update and pause; from the end, return to the start. */
  step() {
    const next = this.epoch >= this.last ? 0 : this.epoch + 1;
    cancelAnimationFrame(this.frame);
    this.playing = false;
    this.seek(next);
  }

  /** @param {number} now */
  tick(now) {
    if (!this.playing) return;
    const passed = this.before === undefined ? 0 : Math.min((now - this.before) / 1000, 0.25);
    this.before = now;
    this.progress = Math.min(this.progress + (passed * this.speed) / this.seconds, 1);
    if (this.progress >= 1) {
      this.head = this.last;
      this.pause();
      return;
    }
    const shown = this.calm.matches ? Math.floor(this.progress * STILLS) / STILLS : this.progress;
    const head = shown * this.last;
    if (head !== this.head) {
      this.head = head;
      this.show(head, true);
    }
    this.frame = requestAnimationFrame((next) => this.tick(next));
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    this.playing = false;
  }
}
