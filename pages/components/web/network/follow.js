/**
 * Subscription to the scrub bar of the page's live chart.
 */

const LOOK = 200; // ms between two checks for a chart that is not mounted yet, or was mounted again

/**
 * @param {(place: number) => void} act  called with the place on the scrub bar, at once and at every change
 * @returns {() => void} ends the subscription
 */
export function followLiveChart(act) {
  /** @type {HTMLElement|null} */
  let chart = null;
  const report = () => chart?.dataset.epoch !== undefined && act(Number(chart.dataset.epoch));
  const observer = new MutationObserver(report);
  const find = () => {
    const found = /** @type {HTMLElement|null} */ (document.querySelector('[data-testid="live-chart"]'));
    if (!found || found === chart) return;
    chart = found;
    observer.disconnect();
    observer.observe(chart, { attributes: true, attributeFilter: ["data-epoch"] });
    report();
  };
  find();
  const timer = setInterval(find, LOOK);
  return () => {
    clearInterval(timer);
    observer.disconnect();
  };
}
