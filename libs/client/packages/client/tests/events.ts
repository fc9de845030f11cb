/** Builders of events, as the edge sends them. */

import type { Item, Notification, Order, Position, Quote, Trade } from "../src/generated/types.js";
import type { StreamEvent, TopicView } from "../src/source.js";
import { applyEvents, emptyView } from "../src/topics.js";
import type { Rows } from "../src/views/rows.js";
import type { StateByView } from "../src/views/states.js";

export const TIME = "2026-01-05T15:00:00Z";

export const idOf = (sequence: number): string => `e1-${sequence}`;

export function event(
  type: string,
  data: unknown,
  sequence: number | null = null,
  receivedAt = 1_000,
): StreamEvent {
  return { type, data, id: sequence === null ? null : idOf(sequence), receivedAt };
}

export function order(orderId: string, fields: Partial<Order> = {}): Order {
  return {
    orderId,
    clientOrderId: `c-${orderId}`,
    symbol: "SPY",
    side: "buy",
    type: "limit",
    qty: 10,
    limitPrice: 100,
    status: "new",
    filledQty: 0,
    filledAvgPrice: null,
    strategyId: null,
    reason: null,
    timestamp: TIME,
    ...fields,
  };
}

export function trade(tradeId: string, fields: Partial<Trade> = {}): Trade {
  return {
    tradeId,
    orderId: "o",
    symbol: "SPY",
    side: "buy",
    qty: 1,
    price: 100,
    strategyId: null,
    timestamp: TIME,
    ...fields,
  };
}

export function quote(symbol: string, price: number, fields: Partial<Quote> = {}): Quote {
  return {
    symbol,
    price,
    bid: price,
    ask: price,
    volume: 1,
    change: 0,
    changePercent: 0,
    timestamp: TIME,
    age: 0,
    stale: false,
    ...fields,
  };
}

/** `price:update` of one symbol has neither `age` nor `stale`. */
export function tick(symbol: string, price: number, receivedAt = 1_000): StreamEvent {
  const { age: _, stale: __, ...data } = quote(symbol, price);
  return event("price:update", data, null, receivedAt);
}

export function position(symbol: string, fields: Partial<Position> = {}): Position {
  return {
    symbol,
    quantity: 1,
    entryPrice: 100,
    currentPrice: 100,
    unrealizedPnL: 0,
    realizedPnL: 0,
    ...fields,
  };
}

export function notification(id: string, fields: Partial<Notification> = {}): Notification {
  return {
    id,
    type: "order",
    title: "t",
    message: "m",
    payload: {},
    is_read: false,
    created_at: TIME,
    ...fields,
  };
}

export function item(id: string, fields: Partial<Item> = {}): Item {
  return {
    id,
    title: id,
    source: "s",
    url: null,
    tickers: [],
    tags: [],
    sentiment: "neutral",
    score: 0,
    timestamp: TIME,
    ...fields,
  };
}

export const CONNECTED = event("connected", { clientId: "c", stream: "topics" });

/** The view after `events`, from the beginning of a connection. */
export function viewOf<N extends keyof StateByView>(
  name: N,
  ...events: StreamEvent[]
): TopicView<StateByView[N]> {
  return applyEvents(name, emptyView(name), [CONNECTED, ...events]) as TopicView<StateByView[N]>;
}

export function apply<S>(name: string, view: TopicView<S>, ...events: StreamEvent[]): TopicView<S> {
  return applyEvents(name, view, events) as TopicView<S>;
}

/** Numbers in [0, 1) that are the same for the same seed. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function values<V>(rows: Rows<V>): V[] {
  return [...rows.byKey.values()].map((row) => row.value);
}
