import { describe, expect, it } from "vitest";

import { parseList, safeUrl, viewShows } from "./view-rule.js";

describe("a view", () => {
  const item = { tickers: ["IBM", "SPY"], tags: ["earnings"] };
  it.each([
    [["IBM"], [], true],
    [["MSFT"], [], false],
    [["MSFT", "SPY"], ["earnings"], true],
    [["IBM"], ["merger"], false],
    [[], [], false],
  ])("of %o and %o shows the item: %s", (tickers, tags, shown) => {
    expect(viewShows({ tickers, tags }, item)).toBe(shown);
  });
});

it("reads a list as it is typed", () => {
  expect(parseList(" IBM, SPY;MSFT\nIBM ")).toEqual(["IBM", "SPY", "MSFT"]);
  expect(parseList(" $IBM, aapl ;; BRK.B #merger")).toEqual(["IBM", "aapl", "BRK.B", "merger"]);
  expect(parseList(" , ")).toEqual([]);
  expect(parseList("$ #,")).toEqual([]);
});

it.each([
  ["https://example.com/a?b=1", "https://example.com/a?b=1"],
  ["http://example.com", "http://example.com/"],
  ["javascript:alert(1)", null],
  ["JaVaScRiPt:alert(1)", null],
  [" javascript:alert(1)", null],
  ["data:text/html,<script>alert(1)</script>", null],
  ["//example.com/x", null],
  ["not a url", null],
  ["", null],
])("sends a browser to %s as %s", (url, safe) => expect(safeUrl(url)).toBe(safe));
