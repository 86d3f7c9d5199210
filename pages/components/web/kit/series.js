/**
 * Decoding of messages into numbers, and formatting of numbers.
 *
 * A message is deflated. Inflated it is: length of the header (uint32, little endian), the header (JSON, padded
 * with blanks so that what follows begins at a multiple of 8 bytes), then the figure's arrays one after another.
 * In the header an array reads {"dtype": "f8", "bytes": [offset, length]}.
 */

/** @typedef {{kind: "loss"|"test"|"mark"|"floor", curve: number, play: boolean, jumps?: [number, number][]}} Meaning */
/** @typedef {{y: ArrayLike<number>, x?: ArrayLike<number>, name: string, line?: any, marker?: any, meta: Meaning}} Trace */
/** @typedef {{data: Trace[], layout: any}} Figure */
/**
 * The message of the live chart; other components type their own.
 * @typedef {object} Payload
 * @property {Figure} figure
 * @property {string} run  fingerprint of the run shown
 * @property {number} epochs  updates of the complete run
 * @property {[number, number]|null} streaming  (done, total) while the run is being trained
 * @property {number} height  of the whole component, in CSS pixels
 * @property {boolean} log  whether the loss axis is logarithmic at first
 * @property {string} zoom  a zoom is kept as long as this is the same
 * @property {string} alt  the chart in words
 * @property {number[]|null} [places]  updates done at each point, if they are not 0, 1, 2, ...
 * @property {string} [column]  the read-out's word for the curves
 * @property {boolean|null} [here]  whether changes apply from the shown update on; null: not offered
 * @property {[number, string][]} [marks]  changes on the way: update and words
 * @property {boolean} report  whether the chosen epoch is reported to Python
 * @property {Record<string, string>} dark  colour -> its twin on a dark page
 */

const ARRAYS = { f8: Float64Array, f4: Float32Array, i4: Int32Array, i2: Int16Array, i1: Int8Array };

/**
 * @param {Uint8Array} bytes
 * @returns {Promise<Payload>}
 */
export async function unpack(bytes) {
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(inflated).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const body = 4 + length;
  return JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)), (_, value) => {
    const place = value?.bytes;
    if (!place) return value;
    const type = ARRAYS[value.dtype];
    return new type(buffer, body + place[0], place[1] / type.BYTES_PER_ELEMENT);
  });
}

/**
 * @param {Uint8Array|undefined} one
 * @param {Uint8Array} other
 */
export function sameBytes(one, other) {
  return one?.length === other.length && one.every((byte, index) => byte === other[index]);
}

/**
 * Number of updates that can be shown now: of the longest curve that is played.
 * @param {Figure} figure
 */
export function available(figure) {
  const played = figure.data.filter((trace) => trace.meta.play && trace.meta.kind === "loss");
  return Math.max(0, ...played.map((trace) => trace.y.length - 1));
}

/**
 * Format to significant digits, with the same characters as `loss_text` in lora_core/formatting.py.
 * @param {number} value  finite
 * @param {number} digits
 */
export function significant(value, digits) {
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const power = Number(exponent);
  if (power >= -4 && power <= 5) {
    const decimals = Math.max(0, digits - 1 - power);
    return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  }
  return `${mantissa}e${power}`;
}

/**
 * Format a tick of an axis: at most three digits, with a power of ten only below 1e-4.
 * @param {number} value
 */
export function formatShort(value) {
  return value !== 0 && Math.abs(value) < 1e-4 ? value.toExponential(0) : String(Number(value.toPrecision(3)));
}
