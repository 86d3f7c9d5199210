/**
 * The style of the playground's page, once for all of its components.
 */

import { stylesheet } from "../kit/dom.js";

export const styled = stylesheet("playground.css", import.meta.url);
