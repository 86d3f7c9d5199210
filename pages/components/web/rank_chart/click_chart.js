/**
 * A map that tells which of its cells was clicked: row and column.
 *
 * The drawing is the steady chart's; this only listens.
 */

/** @type {WeakSet<Element>} */
const listening = new WeakSet();

/**
 * @param {{parentElement: HTMLElement, data: Uint8Array, setTriggerValue: (name: string, value: unknown) => void}} component
 * @param {any} Plotly
 * @param {any} kit
 */
export default async function clickChart(component, Plotly, kit) {
  const leave = await kit.steady(component, Plotly);
  const div = /** @type {any} */ (component.parentElement.querySelector(".js-plotly-plot"));
  if (div && !listening.has(div)) {
    listening.add(div);
    div.on("plotly_click", ({ points }) => {
      component.setTriggerValue("cell", points[0].pointIndex);
    });
  }
  return leave;
}
