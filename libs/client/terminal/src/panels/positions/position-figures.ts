/** Figures of a position that follow from those of the server. Pure. */

import type { Position } from "@tapewire/client";

/** Dollars at the current price; negative for a short position. Null without a price. */
export function positionValue({ quantity, currentPrice }: Position): number | null {
  return currentPrice === null ? null : quantity * currentPrice;
}

/** The profit in per cent of what the position cost. Null without a price, or when it cost nothing. */
export function gainPercent({ quantity, entryPrice, unrealizedPnL }: Position): number | null {
  if (entryPrice === null || unrealizedPnL === null) return null;
  const cost = Math.abs(quantity * entryPrice);
  return cost === 0 ? null : (unrealizedPnL / cost) * 100;
}
