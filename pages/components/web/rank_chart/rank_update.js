/**
 * Update of the experiment's rank for a chart of ranks. It draws nothing and occupies no space on the page.
 */

import { choose } from "./rank_chart.js";
// Imports of that module, repeated here so that all are fetched at once and not one after another.
import "../kit/dom.js";
import "../kit/mount.js";
import "../kit/series.js";
import "../kit/theme.js";
import "./curve.js";
import "./handle.js";
import "./words.js";

/** @param {{parentElement: HTMLElement, data: {key: string, rank: number}}} component */
export default function rankUpdate({ parentElement, data }) {
  const place = /** @type {HTMLElement|null} */ (parentElement.closest("[data-testid=stElementContainer]"));
  if (place) place.style.display = "none";
  choose(data.key, data.rank);
}
