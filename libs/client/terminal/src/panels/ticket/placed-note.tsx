import { useConnection } from "@tapewire/react";

import { useTerminal } from "../../app/terminal-context.js";
import { describeOrder } from "../blotter/order-words.js";
import { usePlacedOrder } from "./use-placed-order.js";

/** How the order that was placed last is doing. */
export function PlacedNote({ orderId }: { readonly orderId: string | null }) {
  const placed = usePlacedOrder(orderId);
  const { formats, openPanel } = useTerminal();
  const connection = useConnection();
  if (placed === null) return null;
  return (
    <p className="placed-note" role="status">
      {describeOrder(placed.order, formats)}: {placed.words}.
      {connection.name !== "live" && " The page is not live; what happens now is shown when it is."}{" "}
      <button type="button" className="link-button" onClick={() => openPanel("blotter")}>
        Show orders
      </button>
    </p>
  );
}
