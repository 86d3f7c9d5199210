/**
 * A map that reports row and column of the cell clicked. It is drawn by the steady chart.
 */

import steadyChart from "../still_chart/steady_chart.js";
// Imports of that module, repeated here so that all are fetched at once and not one after another.
import "../kit/dom.js";
import "../kit/mount.js";
import "../kit/series.js";
import "../kit/theme.js";

/** @type {WeakSet<Element>} */
const listening = new WeakSet();

/**
 * @param {{parentElement: HTMLElement, data: Uint8Array, setTriggerValue: (name: string, value: unknown) => void}} component
 * @param {any} Plotly
 */
export default async function clickChart(component, Plotly) {
  const leave = await steadyChart(component, Plotly);
  const div = /** @type {any} */ (component.parentElement.querySelector(".js-plotly-plot"));
  if (div && !listening.has(div)) {
    listening.add(div);
    let scrolled = false; // plotly.js takes a swipe that scrolls the page for a click (seen in 4.1)
    div.addEventListener("pointerdown", () => (scrolled = false), { capture: true });
    div.addEventListener("pointercancel", () => (scrolled = true), { capture: true });
    div.on("plotly_click", ({ points }) => {
      if (!scrolled) component.setTriggerValue("cell", points[0].pointIndex);
    });
  }
  return leave;
}
