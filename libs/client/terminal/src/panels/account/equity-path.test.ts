import { expect, it } from "vitest";

import { rangeOf, stepPath, thinned } from "./equity-path.js";

const samples = [
  { at: 0, equity: 100 },
  { at: 50, equity: 110 },
  { at: 80, equity: 90 },
];

it("draws steps up to now", () => {
  const range = rangeOf(samples, 100)!;
  expect(range).toEqual({ low: 90, high: 110, start: 0, end: 100 });
  expect(stepPath(samples, range, 100, 20)).toBe("M0.0 10.0H50.0V0.0H80.0V20.0H100.0");
});

it("draws equity that never changed in the middle", () => {
  const flat = [{ at: 0, equity: 5 }];
  expect(stepPath(flat, rangeOf(flat, 10)!, 10, 8)).toBe("M0.0 4.0H10.0");
});

it("has a range of some length, whatever the clock of the browser says", () => {
  expect(rangeOf([{ at: 50, equity: 1 }], 10)).toMatchObject({ start: 50, end: 51 });
  expect(rangeOf([], 10)).toBeNull();
});

it("keeps the ends when it leaves out samples", () => {
  const many = Array.from({ length: 1_000 }, (_, at) => ({ at, equity: at }));
  const few = thinned(many, 10);
  expect(few).toHaveLength(10);
  expect([few[0], few.at(-1)]).toEqual([many[0], many.at(-1)]);
  expect(thinned(samples, 10)).toBe(samples);
});
