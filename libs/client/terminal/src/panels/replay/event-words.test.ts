import { expect, it } from "vitest";

import { createFormats } from "../../format/index.js";
import { describeEvent } from "./event-words.js";

const formats = createFormats("en-US");

it.each([
  [
    "order:fill",
    { side: "buy", qty: 10, symbol: "IBM", type: "market", limitPrice: null, status: "filled" },
    "Buy 10 IBM at the market: filled",
  ],
  ["trade:new", { side: "sell", qty: 5, symbol: "IBM", price: 181.5 }, "Sold 5 IBM at 181.50"],
  [
    "trade:corrected",
    { side: "buy", qty: 0, symbol: "IBM", price: 181.5 },
    "An execution of IBM was taken back",
  ],
  ["position:update", { positions: [{ symbol: "IBM", quantity: -5 }] }, "You hold -5 IBM"],
  [
    "strategy:update",
    { name: "Mine", change: "stop_loss_triggered", message: null },
    "Mine: stop loss triggered",
  ],
  [
    "ai:decision",
    { action: "buy", symbol: "IBM", reasoning: "it rose" },
    "Decision: buy IBM, it rose",
  ],
  ["alert:new", { message: "IBM is at 5" }, "Alert: IBM is at 5"],
  [
    "rule:update",
    { change: "triggered", kind: "price_above", symbol: "IBM", price: 5 },
    "Alert rule triggered: Price of IBM above 5.00",
  ],
  ["notification:read", { ids: null }, "You marked notifications as read"],
  ["notification", { title: "Margin", message: "" }, "Notification: Margin"],
  ["of:another_version", { a: 1 }, "of:another_version"],
  ["order:update", null, "order:update"],
])("says %s in words", (type, data, words) => {
  expect(describeEvent({ type, data }, formats)).toBe(words);
});
