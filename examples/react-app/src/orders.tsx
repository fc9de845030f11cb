/** The user's orders, the newest first, and older ones on request. */

import type { OrderStatus } from "@tapewire/client";
import { useCommand, useOrder, useOrders } from "@tapewire/react";

/** `Record` makes TypeScript ask for words when a status is added. */
const WORDS: Record<OrderStatus, string> = {
  new: "Open",
  partially_filled: "Partly filled",
  pending_cancel: "Being canceled",
  pending_replace: "Being changed",
  filled: "Filled",
  canceled: "Canceled",
  rejected: "Rejected",
  failed: "Failed",
};
const CANCELABLE = new Set<OrderStatus>(["new", "partially_filled"]);

export function Orders() {
  const { keys, status, hasMore, loadMore } = useOrders();
  return (
    <section aria-labelledby="orders">
      <h2 id="orders">Orders</h2>
      {status.name === "loading" && <p role="status">Loading</p>}
      {status.name === "failed" && <p role="alert">Not loaded: {status.error.message}</p>}
      {status.name === "ready" && keys.length === 0 && <p>No orders yet: place one above.</p>}
      {keys.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Symbol</th>
              <th scope="col">Side</th>
              <th scope="col">Quantity</th>
              <th scope="col">Filled</th>
              <th scope="col">State</th>
              <th scope="col">Cancel</th>
            </tr>
          </thead>
          <tbody>
            {keys.map((orderId) => (
              <OrderRow key={orderId} orderId={orderId} />
            ))}
          </tbody>
        </table>
      )}
      {hasMore && (
        <button onClick={() => loadMore().catch(() => {})} type="button">
          Older orders
        </button>
      )}
    </section>
  );
}

function OrderRow({ orderId }: { readonly orderId: string }) {
  const order = useOrder(orderId);
  const cancel = useCommand((client, options) =>
    client.call("DELETE", `/api/orders/${orderId}`, undefined, options),
  );
  if (!order) return null;
  return (
    <tr>
      <th scope="row">{order.symbol}</th>
      <td>{order.side}</td>
      <td>{order.qty}</td>
      <td>
        {order.filledQty}
        {order.filledAvgPrice !== null && ` at ${order.filledAvgPrice}`}
      </td>
      <td>
        {WORDS[order.status]}
        {order.reason !== null && `: ${order.reason}`}
      </td>
      <td>
        {CANCELABLE.has(order.status) && (
          <button
            aria-label={`Cancel: ${order.side} ${order.qty} ${order.symbol}`}
            disabled={cancel.isPending}
            onClick={() => cancel.run().catch(() => {})}
            type="button"
          >
            Cancel
          </button>
        )}
        {cancel.error && <span role="alert">{cancel.error.message}</span>}
      </td>
    </tr>
  );
}
