/** The examples of the README, without their imports. */

// biome-ignore-all lint/a11y/useButtonType: examples are short
import type { Order } from "@tapewire/client";
import { useState } from "react";
import {
  useCommand,
  useOrder,
  useOrders,
  useQuote,
  useReplay,
  useSymbols,
  useToasts,
} from "../src/index.js";

export function Watchlist() {
  return useSymbols().map((symbol) => <Row key={symbol} symbol={symbol} />);
}

function Row({ symbol }: { symbol: string }) {
  const { quote, isLive } = useQuote(symbol);
  return (
    <p>
      {symbol} {quote?.price} {isLive ? "" : "not current"}
    </p>
  );
}

export function Orders() {
  const { keys, status, hasMore, loadMore } = useOrders();
  if (status.name === "loading") return <p>Loading your orders…</p>;
  return (
    <>
      {keys.map((id) => (
        <OrderRow key={id} id={id} />
      ))}
      {hasMore && <button onClick={() => loadMore().catch(() => {})}>Older orders</button>}
    </>
  );
}

function OrderRow({ id }: { id: string }) {
  const order = useOrder(id);
  return (
    order && (
      <p>
        {order.side} {order.qty} {order.symbol}: {order.status}
      </p>
    )
  );
}

export function BuyButton({ symbol }: { symbol: string }) {
  const buy = useCommand((client, options, qty: number) =>
    client.call<Order>(
      "POST",
      "/api/orders",
      { symbol, side: "buy", type: "market", qty },
      options,
    ),
  );
  return (
    <>
      <button disabled={buy.isPending} onClick={() => void buy.run(1)}>
        Buy 1 {symbol}
      </button>
      {buy.error && <p role="alert">{buy.error.message}</p>}
    </>
  );
}

export function Toasts() {
  const { toasts, hidden, dismiss } = useToasts({ limit: 3 });
  return (
    <div role="status">
      {toasts.map((toast) => (
        <button key={toast.id} onClick={() => dismiss(toast.id)}>
          {toast.title}
        </button>
      ))}
      {hidden > 0 && <p>{hidden} more</p>}
    </div>
  );
}

export function Past({ since, until }: { since: string; until: string }) {
  const { status, times, after } = useReplay({ since, until });
  const [count, setCount] = useState(0);
  const orders = after(count)?.view("orders").orders.byKey.size ?? 0;
  return (
    <label>
      {status.name}: {orders} orders
      <input
        type="range"
        max={times.length}
        value={count}
        onChange={(event) => setCount(Number(event.target.value))}
      />
    </label>
  );
}
