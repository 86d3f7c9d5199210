/**
 * The experiment's rank on its way to a chart of ranks. It draws nothing and takes no room on the page.
 */

import { choose } from "./rank_chart.js";

/** @param {{parentElement: HTMLElement, data: {key: string, rank: number}}} component */
export default function rankTold({ parentElement, data }) {
  const place = /** @type {HTMLElement|null} */ (parentElement.closest("[data-testid=stElementContainer]"));
  if (place) place.style.display = "none";
  choose(data.key, data.rank);
}
