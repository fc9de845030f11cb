import { describe, expect, it } from "vitest";

import { indexesOf, rowAt, rowOffsets, rowsInView } from "../src/components/table/row-offsets.js";

const KEYS = Array.from({ length: 1_000 }, (_, index) => `k${index}`);
const EVEN = rowOffsets(KEYS, new Map(), 30);

describe("rows in view", () => {
  it.each([
    [0, 300, 0, 11],
    [15, 300, 0, 11],
    [29_700, 300, 990, 1_000],
    [99_999, 300, 999, 1_000],
  ])("at %d px, in %d px of height, are %d to %d", (scrollTop, height, first, end) => {
    expect(rowsInView(EVEN, scrollTop, height, 0)).toEqual({ first, end });
  });

  it("have some more around, within the table", () => {
    expect(rowsInView(EVEN, 3_000, 300, 5)).toEqual({ first: 95, end: 116 });
    expect(rowsInView(EVEN, 0, 300, 5).first).toBe(0);
    expect(rowsInView(EVEN, 29_990, 300, 5).end).toBe(1_000);
  });

  it("are found where rows have heights of their own", () => {
    const offsets = rowOffsets(KEYS.slice(0, 4), new Map([["k1", 100]]), 30);
    expect(offsets).toEqual([0, 30, 130, 160, 190]);
    expect([29, 30, 129, 130, 500, -5].map((distance) => rowAt(offsets, distance))).toEqual([
      0, 1, 1, 2, 3, 0,
    ]);
  });

  it("are none in an empty table", () => {
    expect(rowsInView(rowOffsets([], new Map(), 30), 0, 300, 5)).toEqual({ first: 0, end: 0 });
  });

  it("keep the row with the focus in its order", () => {
    const range = { first: 3, end: 5 };
    expect([-1, 4, 0, 9].map((kept) => indexesOf(range, kept))).toEqual([
      [3, 4],
      [3, 4],
      [0, 3, 4],
      [3, 4, 9],
    ]);
  });
});
