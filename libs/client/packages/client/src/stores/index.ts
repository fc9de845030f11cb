/** All stores of a client. Start reading at `createStores`. */

import type {
  Account,
  Alert,
  AlertList,
  AlertRule,
  BarInterval,
  Configuration,
  ConfigurationList,
  Decision,
  Item,
  ItemList,
  Order,
  OrderList,
  Position,
  RuleList,
  Trade,
  TradeList,
} from "../generated/types.js";
import type { BarSeries, Readable, TapewireClient } from "../interfaces.js";
import type { TopicSource } from "../source.js";
import { correctTrade, isClosed, type OrdersState } from "../views/orders.js";
import type { PositionsState } from "../views/positions.js";
import type { BarsState } from "../views/prices.js";
import type { Rows } from "../views/rows.js";
import type { StateByView } from "../views/states.js";
import type { StoreContext } from "./context.js";
import { Inbox } from "./inbox.js";
import { ListStore } from "./list.js";
import { Quotes } from "./quotes.js";
import { isSameList } from "./readable.js";
import { Strategies } from "./strategies.js";
import { RowsStore, viewValue } from "./values.js";

export type { StoreContext } from "./context.js";

export type Stores = Pick<
  TapewireClient,
  | "prices"
  | "bars"
  | "orders"
  | "openOrderIds"
  | "trades"
  | "positions"
  | "account"
  | "strategies"
  | "decisions"
  | "alerts"
  | "alertRules"
  | "configurations"
  | "notifications"
  | "items"
  | "itemMetrics"
  | "agents"
  | "connectionCounts"
> & {
  /** Release all topics, for good. */
  close(): void;
};

const same = <T>(state: T): T => state;

function ordersStore(context: StoreContext): ListStore<OrdersState, Order> {
  return new ListStore(context, {
    topic: "orders",
    select: (state) => state.orders,
    keyOf: (one) => one.orderId,
    pages: {
      path: "/api/orders?limit=200",
      read: ({ orders, asOf, next }: OrderList) => ({ rows: orders, asOf, next }),
    },
  });
}

/** Those that may still be executed. The snapshot of the stream has all of them, the pages may not. */
function openOrdersOf(source: TopicSource): Readable<readonly string[]> & { release(): void } {
  let known: readonly string[] = [];
  return viewValue(source, "orders", ({ orders }: OrdersState) => {
    const open = [...orders.byKey].filter(([, row]) => !isClosed(row.value)).map(([key]) => key);
    open.reverse();
    if (!isSameList(open, known)) known = open;
    return known;
  });
}

/** What is held first, and then what was closed. */
function positionsStore(source: TopicSource): RowsStore<PositionsState, Position> {
  return new RowsStore(
    source,
    "positions",
    (state: PositionsState) => state.positions,
    (position) => position.quantity === 0,
  );
}

/** Executions, one row a trade: a correction changes its row. */
function tradesStore(context: StoreContext): ListStore<OrdersState, Trade> {
  return new ListStore(context, {
    topic: "orders",
    select: (state) => state.trades,
    keyOf: (one) => one.tradeId,
    combine: (known, later) => (isCorrected(later) ? correctTrade(known, later) : later),
    repeats: true,
    pages: {
      path: "/api/trades?limit=200",
      read: ({ trades, asOf, next }: TradeList) => ({ rows: trades, asOf, next }),
    },
  });
}

function isCorrected(trade: Trade): boolean {
  return trade.before !== undefined && trade.before !== null;
}

/** Every store over one source. */
export function createStores(context: StoreContext): Stores {
  const { source } = context;
  const series = new Map<string, Readable<BarSeries> & { release(): void }>();
  const stores = {
    prices: new Quotes(source, context.now),
    orders: ordersStore(context),
    openOrderIds: openOrdersOf(source),
    trades: tradesStore(context),
    positions: positionsStore(source),
    account: viewValue<Account | null, Account | null>(source, "account", same),
    strategies: new Strategies(context),
    decisions: new ListStore<Rows<Decision>, Decision>(context, {
      topic: "ai-decisions",
      select: same,
      keyOf: (one) => one.decisionId,
    }),
    alerts: new ListStore<Rows<Alert>, Alert>(context, {
      topic: "alerts",
      select: same,
      keyOf: (one) => one.alertId,
      pages: {
        path: "/api/alerts?limit=200",
        read: ({ alerts, asOf, next }: AlertList) => ({ rows: alerts, asOf, next }),
      },
    }),
    alertRules: new ListStore<Rows<AlertRule>, AlertRule>(context, {
      topic: "alert-rules",
      select: same,
      keyOf: (one) => one.ruleId,
      oldestFirst: true,
      pages: {
        path: "/api/alerts/rules",
        read: ({ rules, asOf, next }: RuleList) => ({ rows: rules, asOf, next }),
      },
    }),
    configurations: new ListStore<Rows<Configuration>, Configuration>(context, {
      topic: "configurations",
      select: same,
      keyOf: (one) => one.id,
      oldestFirst: true,
      pages: {
        path: "/api/v2/configurations",
        read: ({ configurations, as_of, next }: ConfigurationList) => ({
          rows: configurations,
          asOf: as_of,
          next,
        }),
      },
    }),
    notifications: new Inbox(context),
    items: new ListStore<Rows<Item>, Item>(context, {
      topic: "items",
      select: same,
      keyOf: (one) => one.id,
      pages: {
        path: "/api/v2/items",
        // This list alone has the newest row last.
        read: ({ items, as_of, next }: ItemList) => ({
          rows: [...items].reverse(),
          asOf: as_of,
          next,
        }),
      },
    }),
    itemMetrics: viewValue<StateByView["item-metrics"], StateByView["item-metrics"]>(
      source,
      "item-metrics",
      same,
    ),
    agents: new RowsStore(source, "agents", (state: StateByView["agents"]) => state),
    connectionCounts: viewValue<StateByView["connections"], StateByView["connections"]>(
      source,
      "connections",
      same,
    ),
  };
  return {
    ...stores,
    bars(symbol: string, interval: BarInterval): Readable<BarSeries> {
      const topic = `bars:${symbol}:${interval}`;
      let store = series.get(topic);
      if (store === undefined) {
        store = viewValue<BarsState, BarSeries>(source, topic, same);
        series.set(topic, store);
      }
      return store;
    },
    close() {
      for (const store of [...Object.values(stores), ...series.values()]) store.release();
    },
  };
}
