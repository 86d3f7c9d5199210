/**
 * The five matrices after each kept number of updates, as flat float32 arrays, row by row.
 */

/** @typedef {"W0"|"A"|"B"|"delta"|"W"} Name */
/** @typedef {Record<Name, Float32Array>} Matrices */
/**
 * @typedef {object} Payload
 * @property {string} run  fingerprint of the run shown
 * @property {number} epochs  updates of the complete run
 * @property {number[]} updates  numbers of updates after which the adapter was kept
 * @property {number} opensAt  index of the one to show first
 * @property {[number, number, number]} sizes  cells along inputs, outputs and ranks
 * @property {[number, number, number]} block  entries along each that share a cell
 * @property {[string, number]} output  the name of an output, and the number of the first
 * @property {Record<Name, [number, number]>} shapes  of the whole matrices
 * @property {number[]} scalings  by kept number of updates, as the next
 * @property {string[]} scalingTexts
 * @property {number} scale  largest absolute value on any map
 * @property {Record<Name, string[][]>} labels  shape, norm and rank, by kept number of updates
 * @property {string[]} losses
 * @property {string} note  how the maps were reduced
 * @property {string[]} colors  negative, zero, positive
 * @property {Record<string, string>} dark  colour -> its twin on a dark page
 * @property {{W0: Float32Array, A: Float32Array, B: Float32Array, delta?: Float32Array}} arrays
 */

export class KeptMatrices {
  /** @param {Payload} payload */
  constructor(payload) {
    this.payload = payload;
    const [rows, columns] = payload.sizes;
    this.product = new Float32Array(rows * columns);
    this.sum = new Float32Array(rows * columns);
  }

  /**
   * Rows and columns of cells on a map.
   * @param {Name} name
   */
  cells(name) {
    const [rows, columns, ranks] = this.payload.sizes;
    if (name === "A") return [rows, ranks];
    return name === "B" ? [ranks, columns] : [rows, columns];
  }

  /**
   * @param {number} index  of the kept number of updates
   * @returns {Matrices} valid until the next call
   */
  at(index) {
    const { arrays, sizes, scalings } = this.payload;
    const [rows, columns, ranks] = sizes;
    const A = part(arrays.A, index, rows * ranks);
    const B = part(arrays.B, index, ranks * columns);
    const delta = arrays.delta
      ? part(arrays.delta, index, rows * columns)
      : multiply(A, B, sizes, scalings[index], this.product);
    for (let i = 0; i < this.sum.length; i += 1) this.sum[i] = arrays.W0[i] + delta[i];
    return { W0: arrays.W0, A, B, delta, W: this.sum };
  }
}

function part(array, index, size) {
  return array.subarray(index * size, (index + 1) * size);
}

/**
 * scaling * A @ B into `product`, row by row.
 * @param {Float32Array} A
 * @param {Float32Array} B
 * @param {[number, number, number]} sizes
 * @param {number} scaling
 * @param {Float32Array} product
 */
function multiply(A, B, [rows, columns, ranks], scaling, product) {
  product.fill(0);
  for (let i = 0; i < rows; i += 1) {
    for (let k = 0; k < ranks; k += 1) {
      const weight = scaling * A[i * ranks + k];
      if (weight === 0) continue;
      for (let j = 0; j < columns; j += 1) product[i * columns + j] += weight * B[k * columns + j];
    }
  }
  return product;
}
