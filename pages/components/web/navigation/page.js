/**
 * What every page has: one entry of the history, reports in order, and its first line near the window's top.
 */

import { stylesheet } from "../kit/dom.js";

stylesheet("page.css", import.meta.url);

export default () => {};
