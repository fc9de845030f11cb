/** Orders and their executions: the view of the topic `orders`. */

import type {
  Order,
  OrderFill,
  OrdersSnapshot,
  Trade,
  TradeCorrected,
} from "../generated/types.js";
import type { StreamEvent } from "../source.js";
import type { Fold } from "./fold.js";
import { noRows, type Rows, RowsDraft, replaceFields } from "./rows.js";

export interface OrdersState {
  /** The one that changed last is the last one. */
  readonly orders: Rows<Order>;
  /** Executions since the view began, one for each trade, the newest last. */
  readonly trades: Rows<Trade>;
}

/** A snapshot has as many orders that are not open, and so has the view. */
export const MAX_CLOSED_ORDERS = 200;
export const MAX_TRADES = 500;
const CLOSED: ReadonlySet<string> = new Set(["filled", "canceled", "rejected", "failed"]);

/** Whether nothing of the order can be executed any more. */
export function isClosed(order: Order): boolean {
  return CLOSED.has(order.status);
}

/** Whether it may be the first event of an order: an older one that the view does not know has none. */
function isFirst({ status, filledQty }: Order): boolean {
  return filledQty === 0 && (status === "new" || status === "rejected" || status === "failed");
}

/** The order in `order:fill`, without the fill. */
export function orderOfFill(fill: OrderFill): Order {
  const { fillQty, fillPrice, tradeId, fillFee, executionId, venueTime, exceptions, ...order } =
    fill;
  return order;
}

/**
 * A trade as it counts after a correction.
 *
 * A correction repeats what a trade is, but the time of the execution and what the venue said of it
 * are only with the trade.
 */
export function correctTrade(trade: Trade | undefined, correction: Trade | TradeCorrected): Trade {
  const { qty, price, before, fee, correctionId } = correction as Trade;
  if (trade === undefined) {
    const { number: _, ...rest } = correction as TradeCorrected;
    return rest;
  }
  const { fee: _, ...original } = trade;
  return {
    ...original,
    qty,
    price,
    ...(fee === undefined ? {} : { fee }),
    ...(before === undefined ? {} : { before }),
    ...(correctionId === undefined ? {} : { correctionId }),
  };
}

function isOrdersSnapshot(data: unknown): data is OrdersSnapshot {
  return Array.isArray((data as OrdersSnapshot | null)?.orders);
}

function putSnapshot(draft: RowsDraft<Order>, snapshot: OrdersSnapshot, at: string): void {
  for (const order of snapshot.orders) draft.put(order.orderId, order, at, "");
  draft.keepOnly(snapshot.orders.map((order) => order.orderId));
}

/** Whether there may be one closed order more: the others are not counted each time. */
function isClosing({ data }: StreamEvent): boolean {
  return isOrdersSnapshot(data) || isClosed(data as Order);
}

function closedBeyondLimit(byKey: Rows<Order>["byKey"]): string[] {
  const closed: string[] = [];
  for (const [key, row] of byKey) if (isClosed(row.value)) closed.push(key);
  return closed.slice(0, Math.max(0, closed.length - MAX_CLOSED_ORDERS));
}

function putTrade(draft: RowsDraft<Trade>, { type, data, id }: StreamEvent): void {
  const trade = data as Trade;
  const isCorrection = type === "trade:corrected";
  const value = isCorrection ? correctTrade(draft.byKey.get(trade.tradeId)?.value, trade) : trade;
  draft.put(trade.tradeId, value, id ?? "", isCorrection ? "" : (id ?? ""));
}

export const ORDERS: Fold<OrdersState> = {
  types: ["order:update", "order:fill", "trade:new", "trade:corrected"],
  empty: { orders: noRows(), trades: noRows() },
  isSnapshot: (event) => event.type === "order:update" && isOrdersSnapshot(event.data),
  apply(state, events) {
    const orders = new RowsDraft(state.orders);
    const trades = new RowsDraft(state.trades);
    for (const event of events) {
      const { type, data } = event;
      const id = event.id ?? "";
      if (type.startsWith("trade:")) {
        putTrade(trades, event);
      } else if (isOrdersSnapshot(data)) {
        putSnapshot(orders, data, id);
      } else {
        const order = type === "order:fill" ? orderOfFill(data as OrderFill) : (data as Order);
        orders.put(order.orderId, order, id, isFirst(order) ? id : "");
      }
    }
    if (events.some(isClosing)) orders.forget(closedBeyondLimit(orders.byKey));
    trades.trim(MAX_TRADES);
    return replaceFields(state, { orders: orders.finish(), trades: trades.finish() });
  },
};
