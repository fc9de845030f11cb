import { describe, expect, it } from "vitest";

import { createFormats } from "../../format/index.js";
import { demoRule, describeRule, type RuleFields, readRule } from "./rule-words.js";

const formats = createFormats("en-US");
const fields: RuleFields = {
  kind: "price_above",
  symbol: "IBM",
  level: "warning",
  price: "181.5",
  percent: "",
  windowSeconds: "",
};
const read = (changed: Partial<RuleFields>) => readRule({ ...fields, ...changed }, formats.parse);

describe("a rule of the form's fields", () => {
  it("has what its kind needs alone", () => {
    expect(read({ percent: "5" })).toEqual({
      body: { kind: "price_above", symbol: "IBM", level: "warning", price: 181.5 },
    });
    expect(read({ kind: "percent_move", percent: "2", windowSeconds: "60" })).toEqual({
      body: {
        kind: "percent_move",
        symbol: "IBM",
        level: "warning",
        percent: 2,
        windowSeconds: 60,
      },
    });
    expect(read({ kind: "order_rejected", symbol: null })).toEqual({
      body: { kind: "order_rejected", level: "warning" },
    });
  });

  it.each([
    ["no symbol", { symbol: null }, ["symbol"]],
    ["no price", { price: "" }, ["price"]],
    ["no terms", { kind: "percent_move" }, ["percent", "windowSeconds"]],
    [
      "half a second",
      { kind: "percent_move", percent: "1", windowSeconds: "0.5" },
      ["windowSeconds"],
    ],
  ] as [string, Partial<RuleFields>, string[]][])(
    "names the wrong field: %s",
    (_name, changed, names) => {
      const result = read(changed);
      expect("errors" in result && Object.keys(result.errors)).toEqual(names);
    },
  );
});

it("says what a rule waits for", () => {
  const rule = { symbol: "IBM", price: 1234.5, percent: null, windowSeconds: null };
  expect(describeRule({ ...rule, kind: "price_below" }, formats)).toBe(
    "Price of IBM below 1,234.50",
  );
  expect(describeRule({ ...rule, symbol: null, kind: "order_rejected" }, formats)).toBe(
    "An order for any symbol is rejected",
  );
});

it.each([
  [200, 100],
  [0.01, 0.01],
  [0.001, 0.001],
])("has a demo rule that a price of %s meets", (price, threshold) => {
  expect(demoRule("IBM", price)).toMatchObject({ kind: "price_above", price: threshold });
});
