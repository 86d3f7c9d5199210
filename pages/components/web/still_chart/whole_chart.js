/**
 * A steady chart drawn with all of plotly.js, for what the bundle of plane charts lacks: a treemap.
 *
 * The page may hold that bundle too, by the same name; the whole one is taken hold of as it comes.
 */

import steadyChart from "./steady_chart.js";

/** @type {Promise<any>|undefined} */
let whole;

/**
 * @param {{parentElement: Node, data: Uint8Array}} component
 * @param {() => Promise<unknown>} load  fetches and starts all of plotly.js
 */
export default async function wholeChart(component, load) {
  whole ??= load().then(() => /** @type {any} */ (window).Plotly);
  return steadyChart(component, await whole);
}
