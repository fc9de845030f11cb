import type { Order, Position, ReplayMoment } from "@tapewire/client";
import type { ReplayState } from "@tapewire/react";

import { useTerminal } from "../../app/terminal-context.js";
import { Money, Quantity } from "../../components/index.js";
import { describeOrder, isOpen, statusWord, toneOf } from "../blotter/order-words.js";
import { describeEvent } from "./event-words.js";

/** Events of the past before the chosen one that are shown, and orders. */
const SHOWN_COUNT = 12;

/** Orders and positions as they were, and the events before. */
export function Moment({
  moment,
  replay,
}: {
  readonly moment: ReplayMoment;
  readonly replay: ReplayState;
}) {
  const { formats } = useTerminal();
  const orders = [...moment.view("orders").orders.byKey.values()].map(({ value }) => value);
  const positions = [...moment.view("positions").positions.byKey.values()].map(
    ({ value }) => value,
  );
  const shown = Array.from(
    { length: Math.min(SHOWN_COUNT, moment.count) },
    (_, back) => moment.count - back,
  );
  return (
    <div className="replay-moment">
      <section aria-label="What happened">
        <h3>What happened</h3>
        <ol className="replay-events">
          {shown.map((number) => {
            const { event, time } = replay.after(number) ?? { event: null, time: null };
            return (
              event && (
                <li key={number} aria-current={number === moment.count || undefined}>
                  <span className="num soft">{formats.time(time)}</span>{" "}
                  {describeEvent(event, formats)}
                </li>
              )
            );
          })}
        </ol>
      </section>
      <OrdersThen orders={orders} />
      <PositionsThen positions={positions} />
    </div>
  );
}

function OrdersThen({ orders }: { readonly orders: readonly Order[] }) {
  const { formats } = useTerminal();
  const newest = [...orders].reverse();
  const shown = [...newest.filter(isOpen), ...newest.filter((order) => !isOpen(order))].slice(
    0,
    SHOWN_COUNT,
  );
  return (
    <section aria-label="Orders at that time">
      <h3>Orders at that time</h3>
      {shown.length === 0 && <p className="soft">None that changed in this period.</p>}
      <ul>
        {shown.map((order) => (
          <li key={order.orderId}>
            {describeOrder(order, formats)}{" "}
            <span className="chip" data-tone={toneOf(order)}>
              {statusWord(order.status)}
            </span>{" "}
            {formats.quantity(order.filledQty)} / {formats.quantity(order.qty)}
          </li>
        ))}
      </ul>
    </section>
  );
}

function PositionsThen({ positions }: { readonly positions: readonly Position[] }) {
  const held = positions.filter(({ quantity }) => quantity !== 0);
  return (
    <section aria-label="Positions at that time">
      <h3>Positions at that time</h3>
      {held.length === 0 ? (
        <p className="soft">None that changed in this period.</p>
      ) : (
        <table className="plain-table">
          <thead>
            <tr>
              <th scope="col">Symbol</th>
              <th scope="col" className="num">
                Quantity
              </th>
              <th scope="col" className="num">
                Realized
              </th>
            </tr>
          </thead>
          <tbody>
            {held.map(({ symbol, quantity, realizedPnL }) => (
              <tr key={symbol}>
                <th scope="row">{symbol}</th>
                <td className="num">
                  <Quantity value={quantity} isSigned />
                </td>
                <td className="num">
                  <Money value={realizedPnL} isSigned />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
