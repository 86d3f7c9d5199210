"""The texts of a page as an eye meets them: which are faint, which lie on one another, which trap a swipe."""

from playwright.sync_api import Page

from tests.kit.browser import frames

CONTRAST = """root => {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const over = (...colors) => {
    for (const color of colors) {
      context.fillStyle = color;
      context.fillRect(0, 0, 1, 1);
    }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (channels) => channels
    .map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const grounds = (node) => {
    const found = [];
    for (let each = node; each; each = each.parentElement)
      found.unshift(getComputedStyle(each).backgroundColor);
    return [getComputedStyle(document.querySelector("[data-testid=stApp]")).backgroundColor, ...found];
  };
  const unread = [
    ":disabled", "[aria-disabled=true]", ".tip", "[role=status]", "select", "pre", ".heatmaplayer", ".knob",
    "[data-testid=stSliderThumbValue]", // above the knob that it is a child of
  ].join();
  const found = [];
  const walker = document.createTreeWalker(document.querySelector(root), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.nodeValue.trim() || !node.checkVisibility({ visibilityProperty: true })) continue;
    if (node.closest(unread)) continue;
    const style = getComputedStyle(node);
    const below = grounds(node);
    const ink = node instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(over(...below, ink)), light(over(...below))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push([walker.currentNode.nodeValue.trim(), ratio.toFixed(2)]);
  }
  return found;
}"""

OVERLAPS = """() => {
  const hidden = "pre, .katex, .tip, [role=status], [aria-hidden=true], [data-testid=stIconMaterial], select";
  const main = document.querySelector("[data-testid=stMain]");
  const seen = (node, box) => {
    let { left, top, right, bottom } = box;
    for (let each = node; each && each !== main; each = each.parentElement) {
      const style = getComputedStyle(each);
      if (style.position === "sticky" || style.position === "fixed") return null;
      if (each instanceof SVGElement || style.overflow === "visible") continue;
      const clip = each.getBoundingClientRect();
      [left, top] = [Math.max(left, clip.left), Math.max(top, clip.top)];
      [right, bottom] = [Math.min(right, clip.right), Math.min(bottom, clip.bottom)];
    }
    return right - left > 1 && bottom - top > 1 ? { left, top, right, bottom } : null;
  };
  const lines = [];
  const walker = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode;
    const node = text.parentElement;
    const look = { visibilityProperty: true, opacityProperty: true };
    if (!text.nodeValue.trim() || !node.checkVisibility(look)) continue;
    if (node.closest(hidden)) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    for (const rect of range.getClientRects()) {
      const box = seen(node, rect);
      if (box) lines.push({ text: text.nodeValue.trim(), node, ...box });
    }
  }
  const found = [];
  lines.forEach((one, index) => {
    for (const other of lines.slice(index + 1)) {
      const width = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const height = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      const least = Math.min(one.bottom - one.top, other.bottom - other.top);
      if (width > 2 && height > 0.35 * least && one.node !== other.node) found.push([one.text, other.text]);
    }
  });
  return found;
}"""

CHARTS = """() => [...document.querySelectorAll("[data-testid=stMain] :is(.js-plotly-plot, canvas, .plots)")]
  .map((node, index) => {
    node.dataset.swiped = String(index);
    return index;
  })"""


NAMED = """node => node.closest("[aria-label]")?.getAttribute("aria-label") ?? String(node.className)"""


def faint_texts(page: Page, root: str = "[data-testid=stMain]") -> list[list[str]]:
    """Texts below a contrast of 4.5 : 1 (WCAG 2.2, 1.4.3) and their contrast; code keeps its own colours."""
    found: list[list[str]] = page.evaluate(CONTRAST, root)
    return found


def overlapping_texts(page: Page) -> list[list[str]]:
    """Pairs of texts of which one covers more than a third of the other's height."""
    found: list[list[str]] = page.evaluate(OVERLAPS)
    return found


def trapped_swipes(page: Page) -> list[str]:
    """Charts from which a thumb that moves up does not scroll the page, in a context that has touch."""
    session = page.context.new_cdp_session(page)
    main, trapped = page.get_by_test_id("stMain"), []
    page.get_by_test_id("stMainBlockContainer").evaluate("node => (node.style.paddingBottom = '900px')")
    for index in page.evaluate(CHARTS):
        chart = page.locator(f"[data-swiped='{index}']")
        chart.evaluate("node => node.scrollIntoView({ block: 'center' })")
        box, before = chart.bounding_box(), main.evaluate("node => node.scrollTop")
        if box is None or box["width"] < 20:
            continue
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind, up in [("touchStart", 0), *(("touchMove", up) for up in range(10, 81, 10))]:
            points = [{"x": x, "y": y - up}]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            frames(page)
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        if main.evaluate("node => node.scrollTop") < before + 30:
            trapped.append(chart.evaluate(NAMED))
    session.detach()
    return trapped
