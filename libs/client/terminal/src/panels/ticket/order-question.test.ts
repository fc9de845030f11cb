import type { Account, Position, Quote } from "@tapewire/client";
import { describe, expect, it } from "vitest";

import { addedShares, type OrderTerms, questionsBefore } from "./order-question.js";

const quote = { symbol: "IBM", price: 100, bid: 99, ask: 101 } as Quote;
const account = { equity: 100_000 } as Account;
const market = (qty: number, more: Partial<OrderTerms> = {}): OrderTerms => ({
  symbol: "IBM",
  side: "buy",
  type: "market",
  qty,
  limitPrice: null,
  ...more,
});
const held = (quantity: number) => ({ symbol: "IBM", quantity }) as Position;

describe("shares that add to the exposure", () => {
  it.each([
    ["a buy without a position", market(10), 0, 10],
    ["a buy beside what is held", market(10), 5, 10],
    ["a sale that closes", market(10, { side: "sell" }), 10, 0],
    ["a sale that closes a part", market(4, { side: "sell" }), 10, 0],
    ["a sale that turns the position to a smaller one", market(15, { side: "sell" }), 10, 0],
    ["a sale that turns the position to a larger one", market(25, { side: "sell" }), 10, 5],
    ["a buy that covers a short position", market(10), -10, 0],
    ["reduce only", market(1_000_000, { reduceOnly: true }), 0, 0],
  ])("%s", (_name, terms, quantity, expected) => {
    expect(addedShares(terms, quantity)).toBe(expected);
  });
});

describe("questions before an order", () => {
  const ask = (terms: OrderTerms, more: Partial<Parameters<typeof questionsBefore>[1]> = {}) =>
    questionsBefore(terms, { quote, account, position: undefined, ...more }).map(
      ({ name }) => name,
    );

  it.each([
    ["a small order", market(10), []],
    ["exactly the part", market(247), []],
    ["a large order", market(248), ["large"]],
    ["a million shares", market(1_000_000), ["large"]],
    ["a large sale", market(260, { side: "sell" }), ["large"]],
    ["a large stop", market(300, { type: "stop", stopPrice: 90 }), ["large"]],
    ["a limit far above the ask", market(1, { type: "limit", limitPrice: 110 }), ["far-limit"]],
    ["a limit far below the ask waits", market(1, { type: "limit", limitPrice: 10 }), []],
    [
      "a sale far below the bid",
      market(1, { side: "sell", type: "limit", limitPrice: 90 }),
      ["far-limit"],
    ],
    ["both", market(1000, { type: "limit", limitPrice: 1000 }), ["large", "far-limit"]],
  ])("%s", (_name, terms, expected) => {
    expect(ask(terms)).toEqual(expected);
  });

  it("does not ask to close a large position", () => {
    expect(ask(market(1_000, { side: "sell" }), { position: held(1_000) })).toEqual([]);
  });

  it("asks when the value is not known", () => {
    expect(ask(market(1), { quote: undefined })).toEqual(["unknown-value"]);
    expect(ask(market(1), { account: null })).toEqual(["unknown-value"]);
  });

  it("asks about every order of an account without equity", () => {
    expect(ask(market(1), { account: { equity: -5 } as Account })).toEqual(["large"]);
  });

  it("values negative prices by their size", () => {
    const negative = { ...quote, price: -40, bid: -41, ask: -39 };
    expect(ask(market(1_000), { quote: negative })).toEqual(["large"]);
  });
});
