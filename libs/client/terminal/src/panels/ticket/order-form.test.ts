import { describe, expect, it } from "vitest";

import { createFormats } from "../../format/index.js";
import { EMPTY_FIELDS, hasField, type OrderFields, readOrder } from "./order-form.js";

const read = (fields: Partial<OrderFields>, locale = "en-US", symbol: string | null = "IBM") =>
  readOrder(symbol, { ...EMPTY_FIELDS, ...fields }, createFormats(locale).parse);

describe("an order of the ticket's fields", () => {
  it("is a market order", () => {
    expect(read({ qty: "100" })).toEqual({
      request: { symbol: "IBM", side: "buy", type: "market", qty: 100 },
    });
  });

  it("has what its type needs, and nothing else that was typed", () => {
    const fields = { qty: "1", limitPrice: "181.5", stopPrice: "180" };
    expect(read({ ...fields, type: "stop_limit" })).toMatchObject({
      request: { limitPrice: 181.5, stopPrice: 180 },
    });
    expect(read({ ...fields, type: "market" })).toEqual({
      request: { symbol: "IBM", side: "buy", type: "market", qty: 1 },
    });
    expect(read({ ...fields, type: "stop" })).not.toHaveProperty("request.limitPrice");
    expect(read({ ...fields, type: "limit" })).not.toHaveProperty("request.stopPrice");
  });

  it("has a time in force and reduce only where they are not the default", () => {
    expect(read({ qty: "1", timeInForce: "fok", reduceOnly: true })).toMatchObject({
      request: { timeInForce: "fok", reduceOnly: true },
    });
  });

  it.each([
    ["de-DE", "1.000", 1_000],
    ["de-DE", "0,5", 0.5],
    ["en-US", "1,000", 1_000],
    ["fr-FR", "1 000,25", 1_000.25],
    ["de-CH", "1’000.5", 1_000.5],
    ["en-IN", "1,00,000", 100_000],
  ])("reads a quantity as %s writes it: %s", (locale, text, qty) => {
    expect(read({ qty: text }, locale)).toMatchObject({ request: { qty } });
  });

  it.each([
    ["nothing", {}, ["qty"]],
    ["no number", { qty: "ten" }, ["qty"]],
    ["zero", { qty: "0" }, ["qty"]],
    ["below zero", { qty: "-5" }, ["qty"]],
    ["too many shares", { qty: "1000001" }, ["qty"]],
    ["too many places", { qty: "0.1234567" }, ["qty"]],
    ["no prices", { qty: "1", type: "stop_limit" }, ["limitPrice", "stopPrice"]],
    ["a price of zero", { qty: "1", type: "limit", limitPrice: "0" }, ["limitPrice"]],
  ] as [string, Partial<OrderFields>, string[]][])(
    "names the wrong field: %s",
    (_name, fields, names) => {
      const result = read(fields);
      expect("errors" in result && Object.keys(result.errors).sort()).toEqual(names);
    },
  );

  it("refuses a number that another locale reads otherwise", () => {
    expect(read({ qty: "1.5" }, "de-DE")).toHaveProperty("errors.qty");
    expect(read({ qty: "1,5" }, "en-US")).toHaveProperty("errors.qty");
  });

  it("needs a symbol", () =>
    expect(read({ qty: "1" }, "en-US", null)).toHaveProperty("errors.symbol"));
});

describe("the fields of a ticket", () => {
  it.each([
    ["qty", "market", true],
    ["symbol", "market", true],
    ["limitPrice", "market", false],
    ["limitPrice", "stop_limit", true],
    ["stopPrice", "limit", false],
    ["stopPrice", "stop", true],
    ["strategyId", "limit", false],
    ["side", "limit", false],
  ] as const)("show the error of %s in a %s order beside it: %s", (name, type, isShown) => {
    expect(hasField(name, type)).toBe(isShown);
  });
});
