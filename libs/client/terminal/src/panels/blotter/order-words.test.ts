import { describe, expect, it } from "vitest";

import { createFormats } from "../../format/index.js";
import { describeOrder } from "./order-words.js";

const formats = createFormats("en-US");

function describeSymbol(symbol: string): string {
  return describeOrder({ side: "buy", qty: 10, symbol, type: "limit", limitPrice: 181.5 }, formats);
}

describe("a symbol in a sentence", () => {
  it.each(["IBM", "BRK.B", "BTC/USD", "7203.T"])("%s stays as it is", (symbol) => {
    expect(describeSymbol(symbol)).toBe(`Buy 10 ${symbol} at 181.50`);
  });

  it.each(["\u202eMBI", "\u202bMBI", "\u2067MBI", "\u2069\u202eMBI\u202c"])(
    "has no marks that turn the price behind it: %j",
    (symbol) => {
      expect(describeSymbol(symbol)).toBe("Buy 10 MBI at 181.50");
    },
  );

  it.each(["\u05d0\u05d1", "\u0634\u062d\u0646"])(
    "of right-to-left letters is isolated: %j",
    (symbol) => {
      expect(describeSymbol(symbol)).toBe(`Buy 10 \u2068${symbol}\u2069 at 181.50`);
    },
  );
});
