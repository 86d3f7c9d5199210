/**
 * Stylesheet of the playground's page, loaded once for all of its components.
 */

import { stylesheet } from "../kit/dom.js";

export const styled = stylesheet("playground.css", import.meta.url);
