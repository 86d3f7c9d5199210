/**
 * The experiment's rank on its way to a chart of ranks. It draws nothing and takes no room on the page.
 */

import { choose } from "./rank_chart.js";
// What that module imports, named here so that all are fetched at once and not one after another.
import "../kit/dom.js";
import "../kit/mount.js";
import "../kit/series.js";
import "../kit/theme.js";
import "./curve.js";
import "./handle.js";
import "./words.js";

/** @param {{parentElement: HTMLElement, data: {key: string, rank: number}}} component */
export default function rankTold({ parentElement, data }) {
  const place = /** @type {HTMLElement|null} */ (parentElement.closest("[data-testid=stElementContainer]"));
  if (place) place.style.display = "none";
  choose(data.key, data.rank);
}
