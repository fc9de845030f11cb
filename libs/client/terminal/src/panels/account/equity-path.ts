/** The equity curve as a line in steps: between two points the earlier one holds. Pure. */

export interface EquitySample {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly equity: number;
}

export interface EquityRange {
  readonly low: number;
  readonly high: number;
  readonly start: number;
  readonly end: number;
}

/** The range that the samples take up to `now`; null without samples. */
export function rangeOf(samples: readonly EquitySample[], now: number): EquityRange | null {
  const first = samples[0];
  if (first === undefined) return null;
  let low = first.equity;
  let high = first.equity;
  for (const { equity } of samples) {
    if (equity < low) low = equity;
    if (equity > high) high = equity;
  }
  return {
    low,
    high,
    start: first.at,
    end: Math.max(now, samples.at(-1)?.at ?? now, first.at + 1),
  };
}

/** The path of an SVG line, `width` by `height`; samples are in order of time. */
export function stepPath(
  samples: readonly EquitySample[],
  range: EquityRange,
  width: number,
  height: number,
): string {
  const x = (at: number) => (((at - range.start) / (range.end - range.start)) * width).toFixed(1);
  const spread = range.high - range.low;
  const y = (equity: number) =>
    (spread === 0 ? height / 2 : height - ((equity - range.low) / spread) * height).toFixed(1);
  const steps = samples.map(({ at, equity }, index) =>
    index === 0 ? `M${x(at)} ${y(equity)}` : `H${x(at)}V${y(equity)}`,
  );
  return samples.length === 0 ? "" : `${steps.join("")}H${width.toFixed(1)}`;
}

/** At most `count` samples, evenly chosen; the first and the last one stay. */
export function thinned(samples: readonly EquitySample[], count: number): readonly EquitySample[] {
  if (samples.length <= count) return samples;
  const step = (samples.length - 1) / (count - 1);
  const indexes = Array.from({ length: count }, (_, index) => Math.round(index * step));
  return indexes.flatMap((index) => samples[index] ?? []);
}
