import type { Order } from "@tapewire/client";
import { useKeyed, useTapewire } from "@tapewire/react";

import { explainOrder, statusWord } from "../blotter/order-words.js";

/** The order that was placed last, as it is now, and its state in words. */
export function usePlacedOrder(
  orderId: string | null,
): { readonly order: Order; readonly words: string } | null {
  const order = useKeyed(useTapewire().orders, orderId ?? "");
  if (orderId === null || order === undefined) return null;
  const reason = explainOrder(order);
  return {
    order,
    words: `${statusWord(order.status).toLowerCase()}${reason === "" ? "" : ` (${reason})`}`,
  };
}
