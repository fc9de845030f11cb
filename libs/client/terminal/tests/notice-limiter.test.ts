import { describe, expect, it } from "vitest";

import {
  MAX_NOTICES,
  NoticeLimiter,
  ROUTINE_MS,
  RoutineLimiter,
  WINDOW_MS,
} from "../src/app/notice-limiter.js";

it("counts what arrives at once after a night in one notice", () => {
  const limiter = new NoticeLimiter();
  const taken = Array.from({ length: 300 }, (_, index) => limiter.take(index));
  expect(taken.filter((more) => more === 0)).toHaveLength(MAX_NOTICES);
  expect(taken.at(-1)).toBe(300 - MAX_NOTICES);
});

it("shows single ones again after a pause", () => {
  const limiter = new NoticeLimiter();
  for (let index = 0; index < 10; index += 1) limiter.take(0);
  expect(limiter.take(WINDOW_MS - 1)).toBeGreaterThan(0);
  expect(limiter.take(3 * WINDOW_MS)).toBe(0);
});

describe("messages of a busy strategy", () => {
  it("are one a minute", () => {
    const limiter = new RoutineLimiter();
    const shown = Array.from({ length: 180 }, (_, second) => limiter.take("fills", second * 1000));
    expect(shown.flatMap((isShown, second) => (isShown ? [second] : []))).toEqual([
      0,
      ROUTINE_MS / 1000,
      (2 * ROUTINE_MS) / 1000,
    ]);
  });

  it("do not hold back those of another group", () => {
    const limiter = new RoutineLimiter();
    limiter.take("fills of one strategy", 0);
    expect(limiter.take("fills of another strategy", 1)).toBe(true);
    expect(limiter.take("fills of one strategy", 1)).toBe(false);
  });
});
