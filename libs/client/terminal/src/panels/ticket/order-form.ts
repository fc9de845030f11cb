/** The order that the ticket's fields describe, and what is wrong with them. Pure. */

import type { ParsedNumber, ParseOptions } from "../../format/index.js";
import type { OrderRequest } from "./order-submission.js";

export type OrderType = OrderRequest["type"];
export type TimeInForce = "gtc" | "day" | "ioc" | "fok";

/** What is typed, as text, so that nothing is lost by a reload. */
export interface OrderFields {
  readonly side: "buy" | "sell";
  readonly type: OrderType;
  readonly qty: string;
  readonly limitPrice: string;
  readonly stopPrice: string;
  readonly timeInForce: TimeInForce;
  readonly reduceOnly: boolean;
}

export const EMPTY_FIELDS: OrderFields = {
  side: "buy",
  type: "market",
  qty: "",
  limitPrice: "",
  stopPrice: "",
  timeInForce: "gtc",
  reduceOnly: false,
};

export const QTY_OPTIONS: ParseOptions = {
  min: 0,
  isMinExclusive: true,
  max: 1_000_000,
  maxPlaces: 6,
};
export const PRICE_OPTIONS: ParseOptions = { min: 0, isMinExclusive: true, maxPlaces: 8 };

export function hasLimit(type: OrderType): boolean {
  return type === "limit" || type === "stop_limit";
}

export function hasStop(type: OrderType): boolean {
  return type === "stop" || type === "stop_limit";
}

/** Whether a ticket of this type shows a field of this name, with its error beside it. */
export function hasField(name: string, type: OrderType): boolean {
  if (name === "limitPrice") return hasLimit(type);
  if (name === "stopPrice") return hasStop(type);
  return ["symbol", "qty", "timeInForce", "reduceOnly"].includes(name);
}

/** Fields by name: what is wrong with each. */
export type FieldErrors = Readonly<Record<string, string>>;

/**
 * The order of the fields, or the errors by field. It refuses only what is no order at all; the
 * server has the last word.
 */
export function readOrder(
  symbol: string | null,
  fields: OrderFields,
  parse: (text: string, options?: ParseOptions) => ParsedNumber,
): { readonly request: OrderRequest } | { readonly errors: FieldErrors } {
  const errors: Record<string, string> = {};
  const number = (name: string, text: string, options: ParseOptions): number => {
    const parsed = parse(text, options);
    if (parsed.ok) return parsed.value;
    errors[name] = parsed.error;
    return 0;
  };
  const qty = number("qty", fields.qty, QTY_OPTIONS);
  const limitPrice = hasLimit(fields.type)
    ? number("limitPrice", fields.limitPrice, PRICE_OPTIONS)
    : undefined;
  const stopPrice = hasStop(fields.type)
    ? number("stopPrice", fields.stopPrice, PRICE_OPTIONS)
    : undefined;
  if (symbol === null || symbol === "") errors.symbol = "Choose a symbol.";
  if (Object.keys(errors).length > 0) return { errors };
  return {
    request: {
      symbol: symbol ?? "",
      side: fields.side,
      type: fields.type,
      qty,
      ...(limitPrice !== undefined && { limitPrice }),
      ...(stopPrice !== undefined && { stopPrice }),
      ...(fields.timeInForce !== "gtc" && { timeInForce: fields.timeInForce }),
      ...(fields.reduceOnly && { reduceOnly: true as const }),
    },
  };
}
