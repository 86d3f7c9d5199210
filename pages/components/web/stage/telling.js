/**
 * A reveal in three parts: the curve plays, then comes the answer, then the sentence.
 *
 * Python sends all of it at once. The stylesheet shows answer and sentence by `data-stage-told` on <html>, and after
 * some seconds in any case.
 */

const STILL = 1700; // ms of a picture that moves by itself: the stylesheet's transitions
const ANSWER = 1100; // ms in which the answer stands alone
const PATIENCE = 8000; // ms after which no chart is waited for
const KEPT = /^(Base|Our guess)/; // labels of lines that stand while the curve plays; floors tell its end

let told = ""; // the last reveal played, by all stages

/**
 * The chart in sight; that of the scene before may stay in the page for a moment.
 * @param {string} name
 * @returns {HTMLElement|undefined}
 */
function shown(name) {
  const charts = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(`[data-testid=${name}]`));
  return [...charts].find((chart) => chart.checkVisibility());
}

/** @param {HTMLElement} chart  whose lines and labels the stylesheet hides, except those marked here */
function keepLines(chart) {
  chart.querySelectorAll(".annotation").forEach((label) => {
    if (!KEPT.test(label.textContent)) return;
    const place = label.getAttribute("data-index");
    for (const node of [label, chart.querySelector(`.shapelayer path[data-index="${place}"]`)]) node?.classList.add("kept");
  });
}

export class Telling {
  constructor() {
    this.on = false;
  }

  /** @param {string} name  of the reveal; empty if there is none to play */
  load(name) {
    if (name && name === told) return;
    this.stop();
    told = name;
    if (!name) return delete document.documentElement.dataset.stageTold;
    this.on = true;
    this.since = performance.now();
    document.documentElement.dataset.stageTold = "curve";
    this.frame = requestAnimationFrame(() => this.look());
  }

  /** Wait for the end of the curve. */
  look() {
    const chart = shown("live-chart");
    const steady = shown("steady-chart");
    const passed = performance.now() - this.since;
    const { run = "before", state, epoch, epochs } = chart?.dataset ?? {};
    const ended = chart ? !run.startsWith("before") && state === "paused" && epoch === epochs : passed > STILL;
    if (ended || passed > PATIENCE) return this.answer();
    for (const each of [chart, steady]) if (each) keepLines(each);
    this.frame = requestAnimationFrame(() => this.look());
  }

  answer() {
    document.documentElement.dataset.stageTold = "answer";
    this.timer = setTimeout(() => this.end(), ANSWER);
  }

  /** Show everything at once; returns true. */
  finish() {
    for (const chart of document.querySelectorAll("[data-testid=live-chart], [data-testid=scene-view]")) {
      chart.dispatchEvent(new CustomEvent("finish"));
    }
    this.end();
    return true;
  }

  end() {
    this.stop();
    document.documentElement.dataset.stageTold = "all";
  }

  stop() {
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
    this.on = false;
  }

  destroy() {
    if (this.on) this.end(); // another stage, drawn anew, does not play it again
  }
}
