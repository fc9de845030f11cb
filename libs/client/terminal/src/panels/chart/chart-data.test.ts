import type { Bar, Decision, Trade } from "@tapewire/client";
import { describe, expect, it } from "vitest";

import { barStartAt, epochSeconds, markersOf, placesOf, summaryOf } from "./chart-data.js";

const bar = (start: string, open: number, close: number, more: Partial<Bar> = {}): Bar =>
  ({
    symbol: "IBM",
    interval: "1m",
    start,
    open,
    high: Math.max(open, close),
    low: Math.min(open, close),
    close,
    volume: 10,
    source: "trade",
    closed: true,
    ...more,
  }) as Bar;
const bars = [
  bar("2026-03-02T14:30:00Z", 100, 101),
  bar("2026-03-02T14:31:00Z", 101, 99),
  bar("2026-03-02T14:35:00Z", 99, 104),
];
const words = {
  fill: (trade: Trade) => `fill ${trade.tradeId}`,
  signal: (decision: Decision) => `signal ${decision.decisionId}`,
};

describe("the decimal places of prices", () => {
  it.each([
    ["whole ones", [100, 101], 2],
    ["cents", [226.4, 226.44], 2],
    ["a currency", [1.10235, 1.1], 5],
    ["a small coin", [1.2e-7, 0.0000013], 8],
    ["more than can be drawn", [1e-18, 1], 12],
  ])("of %s", (_, [open = 0, close = 0], places) => {
    expect(placesOf([bar("2026-03-02T14:30:00Z", open, close)])).toBe(places);
  });

  it("are two without bars", () => {
    expect(placesOf([])).toBe(2);
  });
});

describe("the bar of a time", () => {
  it.each([
    [9, null],
    [10, 10],
    [19, 10],
    [20, 20],
    [500, 50],
  ])("%s", (at, expected) => {
    expect(barStartAt([10, 20, 50], at)).toBe(expected);
  });
  it("is none without bars", () => expect(barStartAt([], 5)).toBeNull());
});

it("marks fills and signals of the symbol on their bars, by time", () => {
  const trades = [
    {
      tradeId: "t2",
      symbol: "IBM",
      side: "sell",
      qty: 1,
      price: 99,
      timestamp: "2026-03-02T14:33:00Z",
    },
    {
      tradeId: "t1",
      symbol: "IBM",
      side: "buy",
      qty: 1,
      price: 101,
      timestamp: "2026-03-02T14:30:59.9Z",
    },
    {
      tradeId: "busted",
      symbol: "IBM",
      side: "buy",
      qty: 0,
      price: 101,
      timestamp: "2026-03-02T14:31:00Z",
    },
    {
      tradeId: "other",
      symbol: "SPY",
      side: "buy",
      qty: 1,
      price: 101,
      timestamp: "2026-03-02T14:31:00Z",
    },
    {
      tradeId: "before",
      symbol: "IBM",
      side: "buy",
      qty: 1,
      price: 101,
      timestamp: "2026-03-02T14:00:00Z",
    },
  ] as Trade[];
  const decisions = [
    { decisionId: "d1", symbol: "IBM", action: "sell", timestamp: "2026-03-02T14:31:30Z" },
    { decisionId: "d2", symbol: "IBM", action: "hold", timestamp: "2026-03-02T14:31:40Z" },
  ] as Decision[];
  expect(
    markersOf(
      "IBM",
      bars.map(({ start }) => epochSeconds(start)),
      trades,
      decisions,
      words,
    ).map(({ id, kind, side }) => [id, kind, side]),
  ).toEqual([
    ["t1", "fill", "buy"],
    ["t2", "fill", "sell"],
    ["d1", "signal", "sell"],
  ]);
});

describe("the summary", () => {
  it("has the extremes and the change", () => {
    expect(summaryOf(bars)).toMatchObject({
      high: 104,
      low: 99,
      volume: 30,
      change: 4,
      changePercent: 4,
    });
  });
  it("has no percentage from a price of 0, and the right sign from a negative one", () => {
    expect(summaryOf([bar("2026-03-02T14:30:00Z", 0, 5)])?.changePercent).toBeNull();
    expect(summaryOf([bar("2026-03-02T14:30:00Z", -10, -5)])?.changePercent).toBe(50);
  });
  it("is none without bars", () => expect(summaryOf([])).toBeNull());
});
