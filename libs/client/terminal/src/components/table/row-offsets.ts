/** Where rows begin, and which of them are in view: pure functions. */

/** Where each row begins, and at the end where the last one ends. */
export function rowOffsets(
  keys: readonly string[],
  heights: ReadonlyMap<string, number>,
  estimate: number,
): readonly number[] {
  const offsets = [0];
  let end = 0;
  for (const key of keys) {
    end += heights.get(key) ?? estimate;
    offsets.push(end);
  }
  return offsets;
}

/** The index of the row at a distance from the first one's top. */
export function rowAt(offsets: readonly number[], distance: number): number {
  let [low, high] = [0, Math.max(0, offsets.length - 2)];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((offsets[middle] ?? 0) <= distance) low = middle;
    else high = middle - 1;
  }
  return low;
}

export interface RowRange {
  readonly first: number;
  /** The first row that is not in the range. */
  readonly end: number;
}

/** The rows in view, with some more above and below. */
export function rowsInView(
  offsets: readonly number[],
  scrollTop: number,
  height: number,
  overscan: number,
): RowRange {
  const count = offsets.length - 1;
  const first = Math.max(0, rowAt(offsets, scrollTop) - overscan);
  const end = Math.min(count, rowAt(offsets, scrollTop + height) + 1 + overscan);
  return { first, end };
}

/** The indexes of a range and one more, in order. */
export function indexesOf({ first, end }: RowRange, more: number): readonly number[] {
  const indexes = Array.from({ length: Math.max(0, end - first) }, (_, index) => first + index);
  if (more < 0 || (more >= first && more < end)) return indexes;
  return more < first ? [more, ...indexes] : [...indexes, more];
}
