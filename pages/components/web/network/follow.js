/**
 * The page's live chart, followed: what its scrub bar shows is what is shown beside it.
 */

const LOOK = 200; // milliseconds between two looks for a chart that has yet to come, or has come anew

/**
 * @param {(place: number) => void} act  called with the place on the scrub bar, at once and at every change
 * @returns {() => void} ends it
 */
export function followLiveChart(act) {
  /** @type {HTMLElement|null} */
  let chart = null;
  const told = () => chart?.dataset.epoch !== undefined && act(Number(chart.dataset.epoch));
  const observer = new MutationObserver(told);
  const find = () => {
    const found = /** @type {HTMLElement|null} */ (document.querySelector('[data-testid="live-chart"]'));
    if (!found || found === chart) return;
    chart = found;
    observer.disconnect();
    observer.observe(chart, { attributes: true, attributeFilter: ["data-epoch"] });
    told();
  };
  find();
  const timer = setInterval(find, LOOK);
  return () => {
    clearInterval(timer);
    observer.disconnect();
  };
}
