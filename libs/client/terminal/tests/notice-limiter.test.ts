import { expect, it } from "vitest";

import { MAX_NOTICES, NoticeLimiter, WINDOW_MS } from "../src/app/notice-limiter.js";

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
