/** The recent prices of a symbol as a small line. Pure. */

/** Points of a line are this many milliseconds apart. */
export const POINT_MS = 2_000;
/** A line has at most this many points: four minutes. */
export const MAX_POINTS = 120;

export interface PricePoint {
  /** Epoch milliseconds, a multiple of `POINT_MS`. */
  readonly at: number;
  readonly price: number;
}

/** `points` with a price that arrived at `now`: it replaces the last point of the same time. */
export function withPrice(
  points: readonly PricePoint[],
  price: number,
  now: number,
): readonly PricePoint[] {
  const at = Math.floor(now / POINT_MS) * POINT_MS;
  const last = points.at(-1);
  if (last?.at === at) {
    return last.price === price ? points : [...points.slice(0, -1), { at, price }];
  }
  const kept = points.length >= MAX_POINTS ? points.slice(points.length - MAX_POINTS + 1) : points;
  return [...kept, { at, price }];
}

/**
 * The path of an SVG line through the points, `width` by `height`; "" for fewer than two points. A
 * price that does not change is drawn in the middle.
 */
export function linePath(points: readonly PricePoint[], width: number, height: number): string {
  const first = points[0];
  const last = points.at(-1);
  if (first === undefined || last === undefined || first === last) return "";
  const prices = points.map(({ price }) => price);
  const low = Math.min(...prices);
  const range = Math.max(...prices) - low;
  const span = last.at - first.at || 1;
  return points
    .map(({ at, price }, index) => {
      const x = ((at - first.at) / span) * width;
      const y = range === 0 ? height / 2 : height - ((price - low) / range) * height;
      return `${index === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
}
