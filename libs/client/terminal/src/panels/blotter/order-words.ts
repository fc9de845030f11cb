/** Orders in words. Pure. */

import type { Order } from "@tapewire/client";

import type { Formats } from "../../format/index.js";

const STATUS_WORDS: Readonly<Record<string, string>> = {
  new: "Open",
  partially_filled: "Partly filled",
  pending_cancel: "Canceling…",
  pending_replace: "Changing…",
  filled: "Filled",
  canceled: "Canceled",
  rejected: "Rejected",
  failed: "Failed",
};

const WAITING_WORDS: Readonly<Record<string, string>> = {
  stale_quote: "Waits: the quote is out of date",
  crossed: "Waits: the bid is above the ask",
  no_offer: "Waits: nothing is offered",
  no_quote: "Waits: there is no quote yet",
};

const TIME_IN_FORCE_WORDS: Readonly<Record<string, string>> = {
  day: "day order",
  ioc: "at once, in part",
  fok: "at once, in full",
};

export type DescribedOrder = Pick<Order, "side" | "qty" | "symbol" | "type"> & {
  readonly limitPrice?: number | null | undefined;
  readonly stopPrice?: number | null | undefined;
};

export function isOpen({ status }: Pick<Order, "status">): boolean {
  return ["new", "partially_filled", "pending_cancel", "pending_replace"].includes(status);
}

/** Whether the user can cancel or change it now. */
export function isWorking({ status }: Pick<Order, "status">): boolean {
  return status === "new" || status === "partially_filled";
}

export function sideWord(side: "buy" | "sell"): string {
  return side === "buy" ? "Buy" : "Sell";
}

export function statusWord(status: string): string {
  return STATUS_WORDS[status] ?? status;
}

/** Marks that turn the direction of what follows them; letters that are written from right to left. */
const DIRECTION_MARKS = /[\u202a-\u202e\u2066-\u2069]/g;
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

/** A foreign text that turns nothing beside it: a price behind it never reads backwards. */
function isolate(text: string): string {
  const plain = text.replace(DIRECTION_MARKS, "");
  return RIGHT_TO_LEFT.test(plain) ? `\u2068${plain}\u2069` : plain;
}

/** "Buy 100 IBM at 181.50, stop 180.00". */
export function describeOrder(order: DescribedOrder, formats: Formats): string {
  const terms =
    order.limitPrice == null ? "at the market" : `at ${formats.price(order.limitPrice)}`;
  const stop = order.stopPrice == null ? "" : `, stop ${formats.price(order.stopPrice)}`;
  return `${sideWord(order.side)} ${formats.quantity(order.qty)} ${isolate(order.symbol)} ${terms}${stop}`;
}

/** "limit 181.50, stop 180.00, day order, reduce only". */
export function describeTerms(order: Order, formats: Formats): string {
  const terms = [order.limitPrice == null ? "market" : `limit ${formats.price(order.limitPrice)}`];
  if (order.stopPrice != null) terms.push(`stop ${formats.price(order.stopPrice)}`);
  if (order.timeInForce != null && order.timeInForce !== "gtc") {
    terms.push(TIME_IN_FORCE_WORDS[order.timeInForce] ?? order.timeInForce);
  }
  if (order.reduceOnly) terms.push("reduce only");
  return terms.join(", ");
}

/** Why the order is as it is, or what it waits for besides its price; "" for neither. */
export function explainOrder(order: Order): string {
  if (order.reason != null && order.reason !== "") return order.reason;
  if (isOpen(order) && order.waiting != null)
    return WAITING_WORDS[order.waiting] ?? `Waits: ${order.waiting}`;
  if (isOpen(order) && order.stopPrice != null && order.triggeredAt == null)
    return "Waits for its stop price";
  return "";
}

/** How good the news of a status is. */
export function toneOf({
  status,
  filledQty,
}: Pick<Order, "status" | "filledQty">): "good" | "bad" | "warn" | "info" | undefined {
  if (status === "filled") return "good";
  if (status === "rejected" || status === "failed") return "bad";
  if (status === "pending_cancel" || status === "pending_replace") return "warn";
  return isOpen({ status }) || filledQty > 0 ? "info" : undefined;
}
