import type { Strategy } from "@tapewire/client";
import { describe, expect, it } from "vitest";

import { createFormats } from "../../format/index.js";
import {
  fieldOfPath,
  fieldsOf,
  newFields,
  readStrategy,
  type StrategyFields,
} from "./strategy-form.js";

const formats = createFormats("de-DE");
const read = (fields: Partial<StrategyFields>) =>
  readStrategy({ ...newFields("IBM"), ...fields }, formats.parse);

describe("a strategy of the form's fields", () => {
  it("has the rule of its kind alone", () => {
    expect(read({ kind: "breakout", window: "20", marginPercent: "0,5" })).toMatchObject({
      body: { rule: { kind: "breakout", window: 20, marginPercent: 0.5 } },
    });
  });

  it("has no protection and no limit where none is wanted", () => {
    expect(read({ stopLossKind: "none", takeProfitPercent: "", maxTrades: " " })).toMatchObject({
      body: { stopLoss: null, takeProfit: null, maxTrades: null, name: null },
    });
  });

  it.each([
    ["no symbol", { symbol: null }, ["symbol"]],
    ["averages in the wrong order", { fast: "9", slow: "3" }, ["fast"]],
    ["equal averages", { fast: "5", slow: "5" }, ["fast"]],
    ["half a price", { fast: "2,5" }, ["fast"]],
    [
      "a stop-loss of nothing",
      { stopLossKind: "trailing", stopLossPercent: "" },
      ["stopLossPercent"],
    ],
    ["a stop-loss above everything", { stopLossPercent: "101" }, ["stopLossPercent"]],
    ["no quantity", { quantity: "" }, ["quantity"]],
    ["no deviations", { kind: "mean_reversion", deviations: "0" }, ["deviations"]],
  ] as [string, Partial<StrategyFields>, string[]][])(
    "names the wrong field: %s",
    (_name, fields, names) => {
      const result = read(fields);
      expect("errors" in result && Object.keys(result.errors)).toEqual(names);
    },
  );

  it("does not ask for fields that its kind does not have", () => {
    expect(read({ kind: "mean_reversion", fast: "", slow: "nonsense" })).toHaveProperty("body");
  });
});

it("reads back what it wrote", () => {
  const strategy = {
    name: "Mine",
    symbol: "IBM",
    rule: { kind: "mean_reversion", window: 30, deviations: 1.5 },
    quantity: 12.5,
    stopLoss: { kind: "trailing", percent: 0.5 },
    takeProfit: { percent: 3 },
    maxTrades: 7,
  } as unknown as Strategy;
  const { name, symbol, rule, quantity, stopLoss, takeProfit, maxTrades } = strategy;
  expect(readStrategy(fieldsOf(strategy, formats), formats.parse)).toEqual({
    body: { name, symbol, rule, quantity, stopLoss, takeProfit, maxTrades },
  });
});

it.each([
  ["rule.fast", "fast"],
  ["stopLoss.percent", "stopLossPercent"],
  ["takeProfit.percent", "takeProfitPercent"],
  ["symbol", "symbol"],
  ["rule.kind", "form"],
  [undefined, "form"],
])("shows the error of %s at %s", (path, field) => expect(fieldOfPath(path)).toBe(field));
