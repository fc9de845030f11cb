/** The type of the state of each view, by its name. */

import type {
  Account,
  AgentStatus,
  Alert,
  AlertRule,
  Configuration,
  ConnectionCounts,
  Decision,
  Item,
  ItemMetrics,
  StrategyUpdate,
} from "../generated/types.js";
import type { NotificationsState } from "./lists.js";
import type { OrdersState } from "./orders.js";
import type { PositionsState } from "./positions.js";
import type { BarsState, PricesState } from "./prices.js";
import type { Rows } from "./rows.js";

export interface StateByView {
  readonly orders: OrdersState;
  readonly positions: PositionsState;
  readonly account: Account | null;
  readonly prices: PricesState;
  readonly "ai-decisions": Rows<Decision>;
  readonly strategies: Rows<StrategyUpdate>;
  readonly alerts: Rows<Alert>;
  readonly "alert-rules": Rows<AlertRule>;
  readonly configurations: Rows<Configuration>;
  readonly notifications: NotificationsState;
  readonly items: Rows<Item>;
  readonly "item-metrics": ItemMetrics | null;
  readonly agents: Rows<AgentStatus>;
  readonly connections: ConnectionCounts | null;
  readonly [bars: `bars:${string}`]: BarsState;
}
