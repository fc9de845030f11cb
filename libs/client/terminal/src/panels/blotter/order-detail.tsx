import type { Order, Trade } from "@tapewire/client";
import { useKeyed, useKeys, useTapewire } from "@tapewire/react";

import { useTerminal } from "../../app/terminal-context.js";
import { Time } from "../../components/index.js";
import {
  describeOrder,
  describeTerms,
  explainOrder,
  isOpen,
  isWorking,
  statusWord,
} from "./order-words.js";

export interface OrderDetailProps {
  readonly orderId: string;
  readonly onCancel: (order: Order) => void;
  readonly onChange: (order: Order) => void;
  readonly onClose: () => void;
}

/** One order with its executions. */
export function OrderDetail({ orderId, onCancel, onChange, onClose }: OrderDetailProps) {
  const client = useTapewire();
  const { formats } = useTerminal();
  const order = useKeyed(client.orders, orderId);
  const tradeIds = useKeys(client.trades);
  if (order === undefined) return null;
  const trades = tradeIds
    .map((id) => client.trades.get(id))
    .filter((trade): trade is Trade => trade?.orderId === orderId);
  const reason = explainOrder(order);
  return (
    <section className="order-detail" aria-label={describeOrder(order, formats)}>
      <header>
        <h3>{describeOrder(order, formats)}</h3>
        <button type="button" className="button small" onClick={onClose}>
          Close
        </button>
      </header>
      <dl className="order-facts">
        <dt>Status</dt>
        <dd>
          {statusWord(order.status)}
          {reason !== "" && `: ${reason}`}
        </dd>
        <dt>Terms</dt>
        <dd>{describeTerms(order, formats)}</dd>
        {order.replacement && (
          <>
            <dt>Asked for</dt>
            <dd>{describeTerms({ ...order, ...order.replacement }, formats)}</dd>
          </>
        )}
        <dt>Filled</dt>
        <dd>
          {formats.quantity(order.filledQty)} of {formats.quantity(order.qty)}
          {order.filledAvgPrice !== null &&
            ` at ${formats.averagePrice(order.filledAvgPrice)} on average`}
        </dd>
        {order.feeTotal != null && order.feeTotal !== 0 && (
          <>
            <dt>Fees</dt>
            <dd>{formats.money(order.feeTotal)}</dd>
          </>
        )}
        <dt>Names</dt>
        <dd className="ids">
          {order.clientOrderId}
          {order.venueOrderId != null && `, at the venue ${order.venueOrderId}`}
        </dd>
      </dl>
      {trades.length > 0 && (
        <ol className="fills" aria-label="Executions of this order">
          {trades.map((trade) => (
            <li key={trade.tradeId}>
              {trade.qty === 0
                ? "Busted"
                : `${formats.quantity(trade.qty)} at ${formats.price(trade.price)}`}
              , <Time value={trade.timestamp} />
              {trade.exceptions?.map((exception) => ` · ${exception.replaceAll("_", " ")}`)}
            </li>
          ))}
        </ol>
      )}
      {isOpen(order) && (
        <div className="dialog-buttons">
          {isWorking(order) && (
            <button type="button" className="button" onClick={() => onChange(order)}>
              Change
            </button>
          )}
          <button type="button" className="button danger" onClick={() => onCancel(order)}>
            Cancel this order
          </button>
        </div>
      )}
    </section>
  );
}
