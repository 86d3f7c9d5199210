/**
 * Labels at the ends of nearly equal lines, moved apart until none overlaps.
 */

/**
 * Upward shift of each label from its line, in pixels.
 * @param {{value: number, annotation: any}[]} floors
 * @param {{range: number[], height: number}} span  of the axis
 * @param {number} gap  least distance of two labels
 * @returns {number[]}
 */
export function labelShifts(floors, span, gap) {
  const [low, high] = span.range;
  const wanted = floors.map(({ annotation }) => {
    const share = annotation.yref === "paper" ? 0 : (annotation.y - low) / (high - low);
    return share * span.height;
  });
  const shifts = new Array(floors.length).fill(0);
  const seen = wanted.flatMap((at, index) => (at >= -1 && at <= span.height + 1 ? [index] : []));
  seen.sort((one, other) => wanted[one] - wanted[other]);
  for (const group of touching(seen, wanted, gap)) {
    const bottom = middle(group, wanted) - ((group.length - 1) / 2) * gap;
    group.forEach((index, place) => {
      shifts[index] = bottom + place * gap - wanted[index];
    });
  }
  return shifts;
}

/**
 * Groups of neighbours that would overlap, merged until no two groups do.
 * @param {number[]} order  indices from the lowest upwards
 * @param {number[]} wanted
 * @param {number} gap
 */
function touching(order, wanted, gap) {
  /** @type {number[][]} */
  const groups = [];
  for (const index of order) {
    groups.push([index]);
    while (groups.length > 1 && overlap(groups.at(-2), groups.at(-1), wanted, gap)) {
      groups.push([...groups.splice(-2).flat()]);
    }
  }
  return groups;
}

function overlap(below, above, wanted, gap) {
  const reach = ((below.length + above.length) / 2) * gap;
  return middle(above, wanted) - middle(below, wanted) < reach;
}

function middle(group, wanted) {
  return group.reduce((sum, index) => sum + wanted[index], 0) / group.length;
}
