import { expect, it } from "vitest";

import { linePath, MAX_POINTS, POINT_MS, type PricePoint, withPrice } from "./sparkline.js";

it("keeps one point an interval, the last price of it", () => {
  let points: readonly PricePoint[] = [];
  for (const [price, now] of [
    [10, 0],
    [11, POINT_MS - 1],
    [12, POINT_MS],
  ] as const)
    points = withPrice(points, price, now);
  expect(points).toEqual([
    { at: 0, price: 11 },
    { at: POINT_MS, price: 12 },
  ]);
});

it("keeps its identity while nothing changes", () => {
  const points = withPrice([], 10, 0);
  expect(withPrice(points, 10, 1)).toBe(points);
});

it("keeps a bounded number of points", () => {
  let points: readonly PricePoint[] = [];
  for (let step = 0; step < 3 * MAX_POINTS; step += 1)
    points = withPrice(points, step, step * POINT_MS);
  expect(points).toHaveLength(MAX_POINTS);
  expect(points.at(-1)?.price).toBe(3 * MAX_POINTS - 1);
});

it("draws from the left edge to the right one, high prices up", () => {
  const points = [
    { at: 0, price: 1 },
    { at: 10, price: 3 },
    { at: 20, price: 2 },
  ];
  expect(linePath(points, 100, 20)).toBe("M0.0 20.0L50.0 0.0L100.0 10.0");
});

it("draws an unchanged price in the middle, and nothing for one point", () => {
  expect(
    linePath(
      [
        { at: 0, price: 5 },
        { at: 10, price: 5 },
      ],
      10,
      8,
    ),
  ).toBe("M0.0 4.0L10.0 4.0");
  expect(linePath([{ at: 0, price: 5 }], 10, 8)).toBe("");
  expect(linePath([], 10, 8)).toBe("");
});
