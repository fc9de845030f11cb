/** Components that use the hooks, and count how often they render. */

import { useState } from "react";
import {
  useAccount,
  useBars,
  useCommand,
  useConnection,
  useInbox,
  useKeyed,
  useOrder,
  useOrders,
  useQuote,
  useQuoteAge,
  useSession,
  useSymbols,
  useTapewire,
  useToasts,
} from "../src/index.js";

/** How often each component rendered, by its name or key. StrictMode renders twice. */
export const renders = new Map<string, number>();

function count(name: string): void {
  renders.set(name, (renders.get(name) ?? 0) + 1);
}

export function PriceRow({ symbol }: { symbol: string }) {
  const { quote, isLive } = useQuote(symbol);
  count(symbol);
  return (
    <p>
      {symbol} {quote?.price} {isLive ? "live" : "old"}
    </p>
  );
}

export function PriceTable() {
  count("table");
  return useSymbols().map((symbol) => <PriceRow key={symbol} symbol={symbol} />);
}

export function Price({ symbol = "A" }: { symbol?: string }) {
  return <p>{useQuote(symbol).quote?.price ?? "none"}</p>;
}

function OrderRow({ id }: { id: string }) {
  count(id);
  return <p>{useOrder(id)?.filledQty}</p>;
}

export function OrderTable() {
  count("list");
  return useOrders().keys.map((id) => <OrderRow key={id} id={id} />);
}

/** A list in words; a click loads more. */
export function OrderList() {
  const { keys, status, hasMore, loadMore } = useOrders();
  return (
    <button type="button" onClick={() => loadMore().catch(() => {})}>
      {[...keys, status.name, hasMore ? "more" : "all"].join(" ")}
    </button>
  );
}

/** All hooks that take a key. */
export function Keyed({ name }: { name: string | null | undefined }) {
  const { orders } = useTapewire();
  const rows = [useKeyed(orders, name), useQuote(name).quote, useQuoteAge(name)];
  return <p>{JSON.stringify([...rows, useBars(name, "1m").bars])}</p>;
}

export function Status() {
  return (
    <p>
      {useSession().name} {useConnection().name} {useAccount()?.cash ?? "unknown"}
    </p>
  );
}

export function Age() {
  return <p>{Math.floor(useQuoteAge("A") ?? -1)} s</p>;
}

/** The count of unread notifications; a click reads "a". */
export function Bell() {
  const { unread, markRead } = useInbox();
  return (
    <button type="button" onClick={() => void markRead(["a"])}>
      {unread}
    </button>
  );
}

/** Toasts; a click dismisses one. */
export function Toasts() {
  const { toasts, hidden, dismiss } = useToasts({ limit: 2, durationMs: 1_000 });
  return (
    <div role="status">
      {toasts.map((one) => (
        <button type="button" key={one.id} onClick={() => dismiss(one.id)}>
          {one.title}
        </button>
      ))}
      {`+${hidden}`}
    </div>
  );
}

/** Buys a share of what was chosen; the choice changes while an order is pending. */
export function BuyButton() {
  const [symbol, setSymbol] = useState("A");
  const buy = useCommand((client, options, body: { symbol: string }) =>
    client.call("POST", "/api/orders", body, options),
  );
  const click = (): void => {
    void buy.run({ symbol }).catch(() => {});
    setSymbol("B");
  };
  return (
    <button type="button" onClick={click}>
      {buy.isPending ? "pending" : (buy.error?.message ?? "ready")}
    </button>
  );
}
