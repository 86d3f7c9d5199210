/**
 * Scales from ranks and values to pixels.
 */

/** Ranks at equal distances, as on a slider whose options are dense at small ranks. */
export class RankScale {
  /**
   * @param {number[]} ranks
   * @param {number} left
   * @param {number} right
   */
  constructor(ranks, left, right) {
    Object.assign(this, { ranks, left, right });
    this.step = (right - left) / Math.max(1, ranks.length - 1);
  }

  /** @param {number} rank  any: between two of the ranks it is interpolated, beyond the last it is at the end */
  at(rank) {
    const { ranks } = this;
    const next = ranks.findIndex((each) => each >= rank);
    if (next < 0) return this.right;
    if (next === 0) return this.left;
    const share = (rank - ranks[next - 1]) / (ranks[next] - ranks[next - 1]);
    return this.left + (next - 1 + share) * this.step;
  }

  /** @param {number} x */
  nearest(x) {
    const place = Math.round((x - this.left) / this.step);
    return this.ranks[Math.max(0, Math.min(this.ranks.length - 1, place))];
  }

  /** Ranks that are written under the axis: powers of two, 3 and the last, as far as there is room. */
  ticks() {
    const last = this.ranks[this.ranks.length - 1];
    const chosen = this.ranks.filter((rank) => (rank & (rank - 1)) === 0 || rank === 3 || rank === last);
    const kept = [];
    for (const rank of chosen.reverse()) {
      if (!kept.length || this.at(kept[0]) - this.at(rank) >= 17) kept.unshift(rank);
    }
    return kept;
  }
}

/** A log axis: values below it are at its foot, values above it at its top; a value that is no number gives NaN. */
export class LogScale {
  /**
   * @param {[number, number]} span
   * @param {number} bottom
   * @param {number} top
   */
  constructor([low, high], bottom, top) {
    Object.assign(this, { low: Math.log(low), high: Math.log(high), bottom, top });
  }

  /** @param {number|null|undefined} value */
  at(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return NaN;
    const share = value > 0 ? (Math.log(value) - this.low) / (this.high - this.low) : 0;
    return this.bottom + (this.top - this.bottom) * Math.max(0, Math.min(1, share));
  }
}

/**
 * A path through points, interrupted where one has no height.
 * @param {number[]} xs
 * @param {number[]} ys
 */
export function path(xs, ys) {
  let text = "";
  let pen = "M";
  xs.forEach((x, index) => {
    if (Number.isNaN(ys[index])) pen = "M";
    else {
      text += `${pen}${x.toFixed(1)},${ys[index].toFixed(1)}`;
      pen = "L";
    }
  });
  return text;
}
