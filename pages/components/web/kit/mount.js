/**
 * One view for each element in which Streamlit mounts a component.
 *
 * Streamlit calls a component whenever its data or the theme change, always with the same parent: the first call
 * builds the view, later ones update it. The function that a call returns is run when the parent leaves the page,
 * and also when a newer call replaces an unfinished one (seen in Streamlit 1.67.0), so a view is destroyed only if
 * its parent is no longer connected.
 */

/** @typedef {{update: (component: any) => unknown, destroy: () => void}} View */

/**
 * @param {(parent: HTMLElement, Plotly: any) => View} build
 * @param {Promise<unknown>} [styled]  settled when the stylesheets of the view have loaded
 */
export function mounting(build, styled) {
  /** @type {WeakMap<Node, {view: View, calls: number}>} */
  const mounted = new WeakMap();
  return async (/** @type {{parentElement: HTMLElement}} */ component, /** @type {any} */ Plotly) => {
    await styled;
    const parent = component.parentElement;
    if (!mounted.has(parent)) mounted.set(parent, { view: build(parent, Plotly), calls: 0 });
    const entry = mounted.get(parent);
    const call = ++entry.calls;
    await entry.view.update(component);
    return () =>
      setTimeout(() => {
        if (call !== entry.calls || parent.isConnected) return;
        entry.view.destroy();
        mounted.delete(parent);
      });
  };
}
