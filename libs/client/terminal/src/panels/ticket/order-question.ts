/**
 * Which orders the ticket asks about before it sends them: those that are large for the account, and
 * limits far beyond the market. Pure.
 */

import type { Account, Order, Position, Quote } from "@tapewire/client";

/** An order that adds more than this part of the equity to the exposure is large. */
export const LARGE_PART_OF_EQUITY = 0.25;
/** A limit is far beyond the market when it is worse than the market by more than this part. */
export const FAR_LIMIT_PART = 0.05;

export type OrderTerms = Pick<Order, "symbol" | "side" | "type" | "qty" | "limitPrice"> & {
  readonly stopPrice?: number | null | undefined;
  readonly reduceOnly?: boolean | undefined;
};

export type OrderQuestion =
  | { readonly name: "large"; readonly added: number; readonly partOfEquity: number }
  /** The order is large, as far as anybody can tell without a price or an account. */
  | { readonly name: "unknown-value"; readonly missing: "price" | "account" }
  | {
      readonly name: "far-limit";
      readonly limitPrice: number;
      readonly marketPrice: number;
      readonly part: number;
    };

/**
 * The price by which an order is valued, in dollars a share: its limit, its stop, or the side of the
 * market that it would take. Null when none is known.
 */
export function valuationPrice(terms: OrderTerms, quote: Quote | undefined): number | null {
  const market = (terms.side === "buy" ? quote?.ask : quote?.bid) ?? quote?.price ?? null;
  return terms.limitPrice ?? terms.stopPrice ?? market;
}

/** How many shares of the order add to the exposure, given the quantity that is held (negative: short). */
export function addedShares(terms: OrderTerms, held: number): number {
  if (terms.reduceOnly) return 0;
  const signedQty = terms.side === "buy" ? terms.qty : -terms.qty;
  const closes = held !== 0 && Math.sign(held) !== Math.sign(signedQty);
  return closes ? Math.max(terms.qty - 2 * Math.abs(held), 0) : terms.qty;
}

/** What to ask before the order is sent; empty: nothing. */
export function questionsBefore(
  terms: OrderTerms,
  known: {
    readonly quote: Quote | undefined;
    readonly account: Account | null;
    readonly position: Position | undefined;
  },
): OrderQuestion[] {
  const questions: OrderQuestion[] = [];
  const shares = addedShares(terms, known.position?.quantity ?? 0);
  if (shares > 0) {
    const price = valuationPrice(terms, known.quote);
    if (price === null) questions.push({ name: "unknown-value", missing: "price" });
    else if (known.account === null) questions.push({ name: "unknown-value", missing: "account" });
    else {
      const added = Math.abs(price) * shares;
      const { equity } = known.account;
      const partOfEquity = equity > 0 ? added / equity : Infinity;
      if (partOfEquity > LARGE_PART_OF_EQUITY)
        questions.push({ name: "large", added, partOfEquity });
    }
  }
  const far = farLimit(terms, known.quote);
  if (far) questions.push(far);
  return questions;
}

function farLimit(terms: OrderTerms, quote: Quote | undefined): OrderQuestion | null {
  const { limitPrice } = terms;
  const marketPrice = terms.side === "buy" ? quote?.ask : quote?.bid;
  if (limitPrice == null || marketPrice == null || marketPrice <= 0) return null;
  const excess = terms.side === "buy" ? limitPrice - marketPrice : marketPrice - limitPrice;
  const part = excess / marketPrice;
  return part > FAR_LIMIT_PART ? { name: "far-limit", limitPrice, marketPrice, part } : null;
}
