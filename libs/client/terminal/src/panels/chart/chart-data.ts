/** What the chart draws, and its summary in words, from bars, executions and decisions. Pure. */

import type { Bar, Decision, Trade } from "@tapewire/client";

export interface ChartMarker {
  /** Epoch seconds of the bar that the marker belongs to. */
  readonly time: number;
  readonly kind: "fill" | "signal";
  readonly side: "buy" | "sell";
  readonly text: string;
  readonly id: string;
}

/** Epoch seconds of a timestamp in ISO 8601. */
export function epochSeconds(timestamp: string): number {
  return Math.floor(Date.parse(timestamp) / 1000);
}

/** Bars whose prices say how many places a price of the symbol has. */
const PLACES_BARS = 60;
/** What the library can draw. */
const MAX_PLACES = 12;

/** The decimal places of the newest prices, at least two: the cursor reads no more between them. */
export function placesOf(bars: readonly Bar[]): number {
  const places = bars
    .slice(-PLACES_BARS)
    .flatMap(({ open, high, low, close }) => [open, high, low, close])
    .map(decimalPlaces);
  return Math.min(Math.max(2, ...places), MAX_PLACES);
}

/** 2 for 1.25, 7 for 1e-7. */
function decimalPlaces(value: number): number {
  const [digits = "", exponent = "0"] = String(value).split("e");
  return Math.max(0, (digits.split(".")[1]?.length ?? 0) - Number(exponent));
}

/**
 * The start of the bar that holds the time `at`, or null when it is before the first bar.
 *
 * @param starts  ascending, in epoch seconds
 */
export function barStartAt(starts: readonly number[], at: number): number | null {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((starts[middle] ?? Infinity) <= at) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? null : (starts[low - 1] ?? null);
}

/**
 * The fills and signals of a symbol on its bars, by time. Holds are no signals.
 *
 * @param starts  of the bars, ascending, in epoch seconds
 */
export function markersOf(
  symbol: string,
  starts: readonly number[],
  trades: readonly Trade[],
  decisions: readonly Decision[],
  words: {
    readonly fill: (trade: Trade) => string;
    readonly signal: (decision: Decision) => string;
  },
): ChartMarker[] {
  const markers: ChartMarker[] = [];
  for (const trade of trades) {
    const time = trade.symbol === symbol ? barStartAt(starts, epochSeconds(trade.timestamp)) : null;
    if (time === null || trade.qty === 0) continue;
    markers.push({
      time,
      kind: "fill",
      side: trade.side,
      text: words.fill(trade),
      id: trade.tradeId,
    });
  }
  for (const decision of decisions) {
    if (decision.symbol !== symbol || decision.action === "hold") continue;
    const time = barStartAt(starts, epochSeconds(decision.timestamp));
    if (time === null) continue;
    const side = decision.action === "buy" ? "buy" : "sell";
    markers.push({
      time,
      kind: "signal",
      side,
      text: words.signal(decision),
      id: decision.decisionId,
    });
  }
  return markers.sort((a, b) => a.time - b.time);
}

export interface BarSummary {
  readonly first: Bar;
  readonly last: Bar;
  readonly high: number;
  readonly low: number;
  readonly volume: number;
  readonly change: number;
  /** Per cent; null when the first price is 0. */
  readonly changePercent: number | null;
}

/** The figures of a text about the shown bars; null without bars. */
export function summaryOf(bars: readonly Bar[]): BarSummary | null {
  const first = bars[0];
  const last = bars.at(-1);
  if (first === undefined || last === undefined) return null;
  const change = last.close - first.open;
  return {
    first,
    last,
    high: bars.reduce((most, bar) => Math.max(most, bar.high), -Infinity),
    low: bars.reduce((least, bar) => Math.min(least, bar.low), Infinity),
    volume: bars.reduce((sum, bar) => sum + bar.volume, 0),
    change,
    changePercent: first.open === 0 ? null : (change / Math.abs(first.open)) * 100,
  };
}
