/**
 * The payloads of events, and the bodies and answers of calls. Generated from the event catalogue
 * and the OpenAPI document of the edge by `make protocol`; do not edit.
 *
 * Numbers are decimals that JSON.parse has rounded to binary floating point. Times are ISO 8601 in
 * UTC.
 */

/** A decimal. As a string it is exact whatever its length. */
export type Decimal = number | string;

/** An account as of the event id `as_of`, at the prices of `timestamp`. */
export interface Account {
  /** what the account began with (dollars) */
  readonly startingBalance: number;
  /**
   * the starting balance, what was received less what was paid, fees included: below 0 when it is borrowed
   * (dollars)
   */
  readonly cash: number;
  /** cash and the value of all positions (dollars) */
  readonly equity: number;
  /** the values of all positions, short ones counted as positive (dollars) */
  readonly grossExposure: number;
  /** the value of all positions, short ones counted as negative (dollars) */
  readonly netExposure: number;
  /** exactly what was gained by all trades, fees taken off (dollars) */
  readonly realizedPnL: number;
  /** what would be gained by closing all positions now (dollars) */
  readonly unrealizedPnL: number;
  /** all that were paid, rebates taken off; null if an earlier version has dropped some (dollars) */
  readonly fees: number | null;
  /** what orders may add to the exposure; null where there is no limit (dollars) */
  readonly buyingPower: number | null;
  /** whether a price that this depends on is missing, or too old to rely on */
  readonly stale: boolean;
  /** open positions without a price, which are valued at their cost */
  readonly unpriced: number;
  readonly timestamp: string;
  readonly asOf: string;
}

export type Action = "buy" | "hold" | "sell";

export type AgentState = "starting" | "running" | "degraded" | "stopped";

/** A process of a service entered `state`; `detail` gives the reason for an abnormal one. */
export interface AgentStatus {
  /** which service */
  readonly service: string;
  /** which process of it */
  readonly instance: string;
  /** what it is now */
  readonly state: AgentState;
  /** why, when it is not a good state */
  readonly detail: string | null;
  /** since when (UTC) */
  readonly timestamp: string;
}

/** `priority` is ``high`` for an error, which does not wait for a flush window. */
export interface Alert {
  readonly alertId: string;
  readonly level: AlertLevel;
  readonly message: string;
  readonly symbol: string | null;
  readonly ruleId: string | null;
  readonly timestamp: string;
  readonly priority?: "high" | null;
}

/** how loud its alert is */
export type AlertLevel = "info" | "warning" | "error";

export interface AlertList {
  readonly alerts: readonly ListedAlert[];
  readonly asOf: string;
  readonly next?: string;
}

export interface AlertRule {
  /** its id */
  readonly ruleId: string;
  /** what it waits for */
  readonly kind: RuleKind;
  /** how loud its alert is */
  readonly level: AlertLevel;
  /** the symbol it is about, null for any */
  readonly symbol: string | null;
  /** the threshold of the price kinds (dollars a share) */
  readonly price: number | null;
  /** how far the price must move, of a percent_move (per cent) */
  readonly percent: number | null;
  /** within which time, of a percent_move (seconds) */
  readonly windowSeconds: number | null;
  /** whether it waits; triggered once, it does not until it is armed again */
  readonly armed: boolean;
  /** when it last changed (UTC) */
  readonly timestamp: string;
}

/**
 * An alert rule after a change, named by `change`. `alert_id` is the alert that a rule raised when it was
 * ``triggered``.
 */
export interface AlertRuleUpdate {
  /** its id */
  readonly ruleId: string;
  /** what it waits for */
  readonly kind: RuleKind;
  /** how loud its alert is */
  readonly level: AlertLevel;
  /** the symbol it is about, null for any */
  readonly symbol: string | null;
  /** the threshold of the price kinds (dollars a share) */
  readonly price: number | null;
  /** how far the price must move, of a percent_move (per cent) */
  readonly percent: number | null;
  /** within which time, of a percent_move (seconds) */
  readonly windowSeconds: number | null;
  /** whether it waits; triggered once, it does not until it is armed again */
  readonly armed: boolean;
  /** when it last changed (UTC) */
  readonly timestamp: string;
  readonly change: "armed" | "created" | "deleted" | "split" | "triggered";
  readonly alertId?: string | null;
}

/** The session of the stream ended; this is the last event. */
export interface AuthExpired {
  readonly reason: string;
}

/** The market of one symbol in one interval. */
export interface Bar {
  /** when the interval begins (UTC) */
  readonly start: string;
  /** the first price (dollars a share) */
  readonly open: number;
  /** the highest price (dollars a share) */
  readonly high: number;
  /** the lowest price (dollars a share) */
  readonly low: number;
  /** the last price (dollars a share) */
  readonly close: number;
  /** traded in the interval (shares) */
  readonly volume: number;
  /** `trade`, or `mid` if there was no trade and prices are of quotes */
  readonly source: "mid" | "trade";
  /** whether the interval is over */
  readonly closed: boolean;
}

export interface BarList {
  readonly symbol: string;
  readonly interval: "1s" | "1m" | "5m" | "1d";
  readonly bars: readonly Bar[];
  readonly next?: string;
}

/**
 * A bar that has changed. With `closed` it is the last time, unless a late quote corrects it before the next
 * bar begins.
 */
export interface BarUpdate {
  readonly symbol: string;
  readonly interval: "1d" | "1m" | "1s" | "5m";
  readonly start: string;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
  readonly source: "mid" | "trade";
  readonly closed: boolean;
}

/**
 * The newest bars of a series, the oldest first; none if the symbol has none. It replaces what a client has
 * of the series.
 */
export interface BarsSnapshot {
  readonly symbol: string;
  readonly interval: "1d" | "1m" | "1s" | "5m";
  readonly bars: readonly Bar[];
}

export interface Breakout {
  /** prices looked back at */
  readonly window: number;
  /** how far beyond them (per cent) */
  readonly marginPercent?: number;
  readonly kind: "breakout";
}

export interface ClientCount {
  readonly userId: string;
  readonly clientCount: number;
}

export interface Conclusion {
  readonly code: ConclusionCode;
  readonly message: string;
}

/** A conclusion. */
export type ConclusionCode = "archived" | "erased" | "removed" | "not_stored" | "other_journal" | "other_user" | "unreadable" | "shown_nowhere" | "parked" | "service_behind" | "no_connection" | "not_shown" | "before_start" | "process_behind" | "behind" | "queued" | "sent";

export interface Configuration {
  /** its id */
  readonly id: string;
  /** what its user calls it */
  readonly name: string;
  /** items about any of these are shown */
  readonly tickers: readonly string[];
  /** and of those only with any of these, if there are some */
  readonly tags: readonly string[];
  /** when it last changed (UTC) */
  readonly timestamp: string;
}

/**
 * The items that a dashboard shows: those of any of `tickers`, with any of `tags` if there are
 * some.
 */
export interface ConfigurationBody {
  readonly name: string;
  readonly tickers: readonly string[];
  readonly tags?: readonly string[];
}

/** The fields to change. */
export interface ConfigurationChange {
  readonly name?: string | null;
  readonly tickers?: readonly string[] | null;
  readonly tags?: readonly string[] | null;
}

export interface ConfigurationList {
  readonly configurations: readonly Configuration[];
  readonly as_of: string;
  readonly next?: string;
}

/** A configuration after a change, named by `change`. */
export interface ConfigurationUpdate {
  /** its id */
  readonly id: string;
  /** what its user calls it */
  readonly name: string;
  /** items about any of these are shown */
  readonly tickers: readonly string[];
  /** and of those only with any of these, if there are some */
  readonly tags: readonly string[];
  /** when it last changed (UTC) */
  readonly timestamp: string;
  readonly change: "changed" | "created" | "deleted";
}

/**
 * The first event of a trading stream. The stream is never silent for longer than `keepalive_ms`
 * milliseconds, which lets a client detect a dead connection; while it shows prices, never for longer than
 * `prices_keepalive_ms`, which lets a client detect old prices.
 */
export interface Connected {
  readonly clientId: string;
  readonly userId: string | null;
  readonly stream: string;
  readonly serverTime: string;
  readonly correlationId: string;
  readonly keepaliveMs: number;
  readonly pricesKeepaliveMs: number;
}

/** How many connections and users all processes have. `clients_per_user` is for admins. */
export interface ConnectionCounts {
  readonly timestamp: string;
  readonly totalClients: number;
  readonly totalUsers: number;
  readonly clientsPerUser?: readonly ClientCount[];
}

/** The user has more than `limit` connections and this one was the oldest; this is the last event. */
export interface ConnectionLimit {
  readonly reason: string;
  readonly limit: number;
}

export interface ConnectionOverview {
  readonly totalClients: number;
  readonly totalUsers: number;
  readonly byStream: Readonly<Record<string, number>>;
  readonly byUser: readonly ClientCount[];
  readonly slowest: readonly ConnectionReport[];
  readonly processes: readonly EdgeProcess[];
  readonly unanswered: readonly string[];
}

export interface ConnectionReport {
  readonly clientId: string;
  readonly instance: string;
  readonly userId: string | null;
  readonly owner: string | null;
  readonly stream: string;
  readonly topics: readonly string[];
  readonly isLive: boolean;
  readonly position: string;
  readonly lastSentId: string | null;
  readonly startsAfter: string | null;
  readonly behind: number;
  readonly outboxBytes: number;
  readonly writeSeconds: number;
  readonly showsEvent?: boolean | null;
}

/** `confidence` is from 0 to 1; `taken` is whether the strategy acted. */
export interface Decision {
  readonly decisionId: string;
  readonly strategyId: string;
  readonly symbol: string;
  readonly action: Action;
  readonly confidence: number;
  readonly reasoning: string;
  readonly taken: boolean;
  readonly timestamp: string;
}

/** Where a connection stands with respect to an event. */
export type DeliveryState = "not_shown" | "before_start" | "process_behind" | "behind" | "queued" | "sent";

export interface EdgeProcess {
  readonly instance: string;
  readonly followsLog: boolean;
  readonly isDraining: boolean;
  readonly logPosition: string;
  readonly connections: number;
  readonly closed: Readonly<Record<string, number>>;
  readonly resets: Readonly<Record<string, number>>;
}

/** No content: only the id matters. */
export interface Empty {
}

export interface EquityCurve {
  readonly points: readonly EquityPoint[];
  readonly next?: string;
}

export interface EquityPoint {
  /** when it was sampled (UTC) */
  readonly timestamp: string;
  /** cash and the value of all positions (dollars) */
  readonly equity: number;
  /** as in the account (dollars) */
  readonly cash: number;
  /** whether a price that the equity depends on was missing or too old */
  readonly stale: boolean;
}

/** Why an execution that a venue reported does not fit its order. It is booked all the same. */
export type ExecutionException = "closed_order" | "worse_than_limit" | "overfilled";

/** What an execution is booked as. A busted one has the quantity 0 and no fee. */
export interface ExecutionTerms {
  /** what changed hands, 0 if it was busted (shares) */
  readonly qty: number;
  /** at which price (dollars a share) */
  readonly price: number;
  /** below 0 when it is a rebate (dollars) */
  readonly fee: number;
}

/** what began it */
export type ExitReason = "stop_loss" | "take_profit" | "flatten";

export interface Explanation {
  readonly user: string;
  readonly id: string;
  readonly storage: Storage;
  readonly event: StoredEvent | null;
  readonly reasons: readonly Conclusion[];
  readonly streams: readonly ShowingStream[];
  readonly topics: readonly string[];
  readonly connections: readonly JudgedConnection[];
  readonly parked: readonly ParkedEvent[];
  readonly behind: readonly ServiceLag[];
  readonly unanswered: readonly string[];
}

export interface Health {
  readonly status: string;
  readonly connections: number;
  readonly users: number;
  readonly sse: SseHealth;
  readonly reason?: string | null;
  readonly ready?: boolean;
}

/** `status` is the state of this connection: ``connected``. */
export interface Heartbeat {
  readonly status: string;
  readonly timestamp: string;
}

/** All strategies of a user. */
export interface InitialStates {
  readonly type: string;
  readonly timestamp: string;
  readonly user_id: string;
  readonly strategies: readonly StrategyState[];
}

/** An analysed item; `score` is from -1 (bad) to 1 (good). */
export interface Item {
  readonly id: string;
  readonly title: string;
  readonly source: string;
  readonly url: string | null;
  readonly tickers: readonly string[];
  readonly tags: readonly string[];
  readonly sentiment: Sentiment;
  readonly score: number;
  readonly timestamp: string;
}

/**
 * An item as its source published it. `title` and `source` are required.
 *
 * Without `id` the source and the `url`, or the `title`, make it unique. Without `sentiment` and
 * `score` (-1 to 1), title and `text`, which is not stored, are scored. `timestamp` has its
 * offset, and is now by default. `reason` says why a stored item is corrected.
 */
export interface ItemBody {
  readonly title: string;
  readonly source: string;
  readonly id?: string | null;
  readonly url?: string | null;
  readonly tickers?: readonly string[];
  readonly tags?: readonly string[];
  readonly sentiment?: "negative" | "neutral" | "positive" | null;
  readonly score?: Decimal | null;
  readonly text?: string;
  readonly timestamp?: string | null;
  readonly reason?: string;
}

export interface ItemList {
  readonly items: readonly Item[];
  readonly as_of: string;
  readonly more: boolean;
  readonly reset: boolean;
  readonly retracted?: readonly string[];
  readonly next?: string;
}

/**
 * Counts over all items. `tags` has the most frequent tags in descending order; `other_tags` is the number
 * of further tags.
 */
export interface ItemMetrics {
  readonly total: number;
  readonly positive: number;
  readonly neutral: number;
  readonly negative: number;
  readonly tags: Readonly<Record<string, number>>;
  readonly other_tags: number;
  readonly rates: ItemRates;
  readonly timestamp: string;
}

/** Items published in the last 60 minutes and 24 hours, and that day's mean per hour. */
export interface ItemRates {
  readonly last_hour: number;
  readonly last_day: number;
  readonly per_hour: number;
}

export interface JournalOverview {
  readonly byteCount: number | null;
  readonly maxBytes: number | null;
  readonly eventCount: number | null;
  readonly firstId: string | null;
  readonly lastId: string | null;
  readonly bytesPerDay: number | null;
  readonly daysLeft: number | null;
  readonly parked: readonly ParkedEvent[];
  readonly hasMoreParked: boolean;
}

export interface JudgedConnection {
  readonly clientId: string;
  readonly instance: string;
  readonly userId: string | null;
  readonly owner: string | null;
  readonly stream: string;
  readonly topics: readonly string[];
  readonly isLive: boolean;
  readonly position: string;
  readonly lastSentId: string | null;
  readonly startsAfter: string | null;
  readonly behind: number;
  readonly outboxBytes: number;
  readonly writeSeconds: number;
  readonly showsEvent?: boolean | null;
  readonly delivery: DeliveryState;
}

export interface ListedAlert {
  /** its id */
  readonly alertId: string;
  /** how loud it is */
  readonly level: AlertLevel;
  /** what its user should know */
  readonly message: string;
  /** the symbol it is about, if one */
  readonly symbol: string | null;
  /** the rule that raised it, null for what needs none */
  readonly ruleId: string | null;
  /** when it came to pass (UTC) */
  readonly timestamp: string;
}

export interface MeanReversion {
  /** prices in the mean */
  readonly window: number;
  /** standard deviations away from it */
  readonly deviations: number;
  readonly kind: "mean_reversion";
}

export interface MovingAverageCrossover {
  /** prices in the short average */
  readonly fast: number;
  /** prices in the long average */
  readonly slow: number;
  readonly kind: "moving_average_crossover";
}

/** A notification as clients see it, in snake_case. */
export interface Notification {
  readonly id: string;
  readonly type: string;
  readonly title: string;
  readonly message: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly is_read: boolean;
  readonly created_at: string;
}

export interface NotificationList {
  readonly notifications: readonly Notification[];
  readonly unread: number;
  readonly as_of: string;
  readonly next?: string;
}

/** Notifications that were read on another screen; None means all existing ones. */
export interface NotificationsRead {
  readonly ids: readonly string[] | null;
  readonly timestamp: string;
}

/**
 * An order as clients see it. Quantities are in shares, prices in dollars a share. `timestamp` is the time
 * of the last change, UTC. `filled_avg_price` is rounded to eight places. A field with a default is absent
 * while it has its default.
 */
export interface Order {
  /** 32 hexadecimal digits made of the user and `clientOrderId` */
  readonly orderId: string;
  /** what its user calls it; idempotent for ever */
  readonly clientOrderId: string;
  /** what is traded, as the market calls it */
  readonly symbol: string;
  /** buy or sell */
  readonly side: Side;
  /**
   * market: at the touch; limit: at `limitPrice` or better; stop, stop_limit: as these once the market has
   * reached `stopPrice`
   */
  readonly type: OrderType;
  /** what was asked for (shares) */
  readonly qty: number;
  /** the worst price it may be executed at, null for a market or a stop order (dollars a share) */
  readonly limitPrice: number | null;
  /** where it is in its life */
  readonly status: OrderStatus;
  /** executed so far (shares) */
  readonly filledQty: number;
  /** average of what was executed, rounded to eight places, null before (dollars a share) */
  readonly filledAvgPrice: number | null;
  /** the strategy it is for, null when a person placed it */
  readonly strategyId: string | null;
  /** why it waits, was canceled or rejected, or failed, in words */
  readonly reason: string | null;
  /** when it last changed (UTC) */
  readonly timestamp: string;
  /**
   * what an order waits for that could be executed at the last known price: a quote that is not stale or not
   * crossed, an offer with a size, a first quote; absent while it waits for nothing but its price
   */
  readonly waiting?: WaitingReason | null;
  /** the price that triggers a stop or stop_limit order (dollars a share) */
  readonly stopPrice?: number | null;
  /**
   * day: until the end of the day; gtc: until it is canceled; ioc: at once, the rest is canceled; fok: at
   * once in full, or not at all
   */
  readonly timeInForce?: TimeInForce;
  /** it only ever brings the position in its symbol closer to 0 */
  readonly reduceOnly?: boolean;
  /** when the market had reached `stopPrice` (UTC) */
  readonly triggeredAt?: string | null;
  /** the terms that were asked for and are not confirmed yet */
  readonly replacement?: OrderTerms | null;
  /** the fees of its executions, rebates taken off (dollars) */
  readonly feeTotal?: number;
  /** what the broker's venue calls it */
  readonly venueOrderId?: string | null;
  /** the splits of its symbol that its terms follow */
  readonly splits?: number;
}

/** The order after a fill, and the fill. `exceptions` say why it does not fit the order. */
export interface OrderFill {
  /** 32 hexadecimal digits made of the user and `clientOrderId` */
  readonly orderId: string;
  /** what its user calls it; idempotent for ever */
  readonly clientOrderId: string;
  /** what is traded, as the market calls it */
  readonly symbol: string;
  /** buy or sell */
  readonly side: Side;
  /**
   * market: at the touch; limit: at `limitPrice` or better; stop, stop_limit: as these once the market has
   * reached `stopPrice`
   */
  readonly type: OrderType;
  /** what was asked for (shares) */
  readonly qty: number;
  /** the worst price it may be executed at, null for a market or a stop order (dollars a share) */
  readonly limitPrice: number | null;
  /** where it is in its life */
  readonly status: OrderStatus;
  /** executed so far (shares) */
  readonly filledQty: number;
  /** average of what was executed, rounded to eight places, null before (dollars a share) */
  readonly filledAvgPrice: number | null;
  /** the strategy it is for, null when a person placed it */
  readonly strategyId: string | null;
  /** why it waits, was canceled or rejected, or failed, in words */
  readonly reason: string | null;
  /** when it last changed (UTC) */
  readonly timestamp: string;
  /**
   * what an order waits for that could be executed at the last known price: a quote that is not stale or not
   * crossed, an offer with a size, a first quote; absent while it waits for nothing but its price
   */
  readonly waiting?: WaitingReason | null;
  /** the price that triggers a stop or stop_limit order (dollars a share) */
  readonly stopPrice?: number | null;
  /**
   * day: until the end of the day; gtc: until it is canceled; ioc: at once, the rest is canceled; fok: at
   * once in full, or not at all
   */
  readonly timeInForce?: TimeInForce;
  /** it only ever brings the position in its symbol closer to 0 */
  readonly reduceOnly?: boolean;
  /** when the market had reached `stopPrice` (UTC) */
  readonly triggeredAt?: string | null;
  /** the terms that were asked for and are not confirmed yet */
  readonly replacement?: OrderTerms | null;
  /** the fees of its executions, rebates taken off (dollars) */
  readonly feeTotal?: number;
  /** what the broker's venue calls it */
  readonly venueOrderId?: string | null;
  /** the splits of its symbol that its terms follow */
  readonly splits?: number;
  readonly fillQty: number;
  readonly fillPrice: number;
  readonly tradeId: string;
  readonly fillFee?: number;
  readonly executionId?: string | null;
  readonly venueTime?: string | null;
  readonly exceptions?: readonly ExecutionException[];
}

export interface OrderList {
  readonly orders: readonly Order[];
  readonly asOf: string;
  readonly next?: string;
}

/**
 * `PENDING_CANCEL` and `PENDING_REPLACE` mean that the broker has not confirmed yet. The order may still be
 * filled until it has.
 */
export type OrderStatus = "new" | "partially_filled" | "pending_cancel" | "pending_replace" | "filled" | "canceled" | "rejected" | "failed";

/** The terms of an order that can be replaced. */
export interface OrderTerms {
  /** the whole order, what is filled included (shares) */
  readonly qty: number;
  /** null for an order without one (dollars a share) */
  readonly limitPrice: number | null;
  /** null for an order without one (dollars a share) */
  readonly stopPrice: number | null;
}

/**
 * `STOP` becomes a market order, and `STOP_LIMIT` a limit order, once the market has reached the stop price.
 */
export type OrderType = "market" | "limit" | "stop" | "stop_limit";

export interface OrdersSnapshot {
  readonly snapshot: boolean;
  readonly orders: readonly Order[];
  readonly timestamp: string;
}

export interface ParkedEvent {
  readonly subscription: string;
  readonly sequence: number;
  readonly subject: string;
  readonly type: string;
  readonly attempts: number;
  readonly error: string;
  readonly failedAt: string;
  readonly isParked: boolean;
  readonly nextAttemptAt: string | null;
}

export interface Ping {
  readonly type: string;
  readonly timestamp: string;
}

/**
 * An order to place. Quantities are shares, prices dollars a share. Limit and stop-limit orders
 * have a `limitPrice`, stop and stop-limit orders a `stopPrice`. A `reduceOnly` order only ever
 * brings the position closer to 0.
 */
export interface PlaceOrderBody {
  readonly symbol: string;
  readonly side: "buy" | "sell";
  /**
   * `STOP` becomes a market order, and `STOP_LIMIT` a limit order, once the market has reached
   * the stop price.
   */
  readonly type: "limit" | "market" | "stop" | "stop_limit";
  readonly qty: Decimal;
  readonly limitPrice?: Decimal | null;
  readonly clientOrderId?: string | null;
  readonly stopPrice?: Decimal | null;
  /**
   * How long an order works: until the end of the `DAY`; until it is canceled (`GTC`); only at
   * once, in part (`IOC`, immediate or cancel) or in full (`FOK`, fill or kill).
   */
  readonly timeInForce?: "day" | "fok" | "gtc" | "ioc";
  readonly reduceOnly?: boolean;
}

/**
 * A position, in dollars and shares. Fields that depend on a price are None while there is no price;
 * `quantity` is 0 when the position is closed. `stale` is there when the position is valued at a price that
 * is too old to rely on.
 */
export interface Position {
  readonly symbol: string;
  readonly quantity: number;
  readonly entryPrice: number | null;
  readonly currentPrice: number | null;
  readonly unrealizedPnL: number | null;
  readonly realizedPnL: number;
  readonly stale?: boolean;
}

export interface PositionList {
  readonly positions: readonly ValuedPosition[];
  readonly totalValue: number;
  readonly unrealizedPnL: number;
  readonly realizedPnL: number;
  readonly timestamp: string;
  readonly asOf: string;
  readonly next?: string;
}

/** Positions whose size or value changed, and the value of all positions. */
export interface Positions {
  readonly positions: readonly Position[];
  readonly totalValue: number | null;
  readonly timestamp: string;
}

/** All positions of a user. */
export interface PositionsSnapshot {
  readonly positions: readonly Position[];
  readonly totalValue: number | null;
  readonly timestamp: string;
  readonly snapshot?: boolean;
}

export interface PriceList {
  readonly prices: readonly Quote[];
  readonly timestamp: string;
  readonly next?: string;
  readonly unknown?: readonly string[];
}

/** A quote, in dollars a share. A side without an offer is None. */
export interface PriceUpdate {
  readonly symbol: string;
  readonly price: number;
  readonly bid: number | null;
  readonly ask: number | null;
  readonly volume: number;
  readonly change: number;
  readonly changePercent: number;
  readonly timestamp: string;
}

/** `unknown` names the symbols that were asked for and have no quote; it is there if there are any. */
export interface PricesSnapshot {
  readonly initializing: boolean;
  readonly prices: readonly Quote[];
  readonly timestamp: string;
  readonly unknown?: readonly string[];
}

/**
 * The body of every error. `error` is the name of the status, `account_changed` (409): the
 * request is meant for another user than the session's, or `buying_power` (422): the order could
 * exceed the limit of the account. `path` names the field or parameter at fault, `value` is what
 * the client sent for it, unless that is long.
 *
 * A command that was not answered (503) has an `outcome`: `not_done` (nothing was done, and
 * nothing will be), or `unknown`. The same request with `idempotencyKey` is carried out at most
 * once. `foundAt` is the path to ask for the result.
 */
export interface Problem {
  readonly error: string;
  readonly message: string;
  readonly statusCode: number;
  readonly path?: string;
  readonly value?: unknown;
  /** What is known about a request that was not answered. */
  readonly outcome?: "not_done" | "unknown";
  readonly idempotencyKey?: string;
  readonly foundAt?: string;
}

/** The public state of a service. `instance` only distinguishes its processes. */
export interface PublicAgentStatus {
  readonly service: string;
  readonly instance: string;
  readonly state: AgentState;
  readonly timestamp: string;
}

/**
 * A quote and its freshness. `age` is in seconds, since the quote was last confirmed to this process, or
 * since `timestamp` if it never was. A `stale` quote is too old to rely on.
 */
export interface Quote {
  readonly symbol: string;
  readonly price: number;
  readonly bid: number | null;
  readonly ask: number | null;
  readonly volume: number;
  readonly change: number;
  readonly changePercent: number;
  readonly timestamp: string;
  readonly age: number;
  readonly stale: boolean;
}

/** Ids of notifications to mark as read: 1 to 200. */
export interface ReadBody {
  readonly ids: readonly string[];
}

export interface ReadResult {
  readonly read: number;
  readonly unread: number;
}

/**
 * Other terms of an order; what is absent or null stays as it is. `qty` is the whole order,
 * what is filled included.
 */
export interface ReplaceOrderBody {
  readonly qty?: Decimal | null;
  readonly limitPrice?: Decimal | null;
  readonly stopPrice?: Decimal | null;
}

/** All requested events up to `until_id` have been sent; this is the last event. */
export interface ReplayComplete {
  readonly untilId: string;
}

/** The id of an item that was withdrawn, and why, as far as its publisher says. */
export interface RetractedItem {
  readonly id: string;
  readonly reason: string;
}

/**
 * When to raise an alert: `price` (dollars a share) for the price kinds, `percent` and
 * `windowSeconds` for a move.
 */
export interface RuleBody {
  readonly kind: "order_rejected" | "percent_move" | "price_above" | "price_below" | "stop_loss" | "strategy_error";
  readonly symbol?: string | null;
  readonly price?: Decimal | null;
  readonly percent?: Decimal | null;
  readonly windowSeconds?: number | null;
  readonly level?: "error" | "info" | "warning" | null;
}

/** what it waits for */
export type RuleKind = "price_above" | "price_below" | "percent_move" | "order_rejected" | "strategy_error" | "stop_loss";

export interface RuleList {
  readonly rules: readonly AlertRule[];
  readonly asOf: string;
  readonly next?: string;
}

export interface SentTestEvent {
  readonly totalClients: number;
}

export type Sentiment = "positive" | "neutral" | "negative";

export interface ServiceInstance {
  readonly service: string;
  readonly instance: string;
  readonly state: AgentState;
  readonly detail: string | null;
  readonly since: string;
}

export interface ServiceLag {
  readonly service: string;
  readonly filter: string;
  readonly position: string;
  readonly behind: number;
}

export interface ServiceOverview {
  readonly instances: readonly ServiceInstance[];
  readonly lags: readonly ServiceLag[];
  readonly unanswered: readonly string[];
}

export interface Session {
  readonly userId: string;
  readonly roles: readonly string[];
  readonly expiresAt: string;
}

export interface ShowingStream {
  readonly stream: string;
  readonly path: string;
  readonly event: string;
}

export interface ShownContent {
  readonly clientId: string;
  readonly topics: readonly string[];
  readonly symbols: readonly string[] | null;
  readonly maxRate: number;
  readonly unknown?: readonly string[];
}

/** buy or sell */
export type Side = "buy" | "sell";

/** The development sign-in, which checks no password. */
export interface SignInBody {
  readonly userId: string;
  readonly roles?: readonly string[];
}

/** The session of the stream ended; this is the last event. */
export interface SnakeCaseAuthExpired {
  readonly type: "auth:expired";
  readonly timestamp: string;
  readonly reason: string;
}

/** The first event of the other families; `type` is the name of the event. */
export interface SnakeCaseConnected {
  readonly type: string;
  readonly client_id: string;
  readonly user_id: string | null;
  readonly stream: string;
  readonly timestamp: string;
  readonly server_time: string;
  readonly correlation_id: string;
  readonly keepalive_ms: number;
  readonly prices_keepalive_ms: number;
}

/** The user has more than `limit` connections and this one was the oldest; this is the last event. */
export interface SnakeCaseConnectionLimit {
  readonly type: "connection:limit";
  readonly timestamp: string;
  readonly reason: string;
  readonly limit: number;
}

/** All requested events up to `until_id` have been sent; this is the last event. */
export interface SnakeCaseReplayComplete {
  readonly type: "replay:complete";
  readonly timestamp: string;
  readonly until_id: string;
}

/** The process stops, and closes this connection in `closes_in_ms` milliseconds. */
export interface SnakeCaseStreamDraining {
  readonly type: "stream:draining";
  readonly timestamp: string;
  readonly closes_in_ms: number;
}

/** A loss: the events between `requested_id` and the snapshot that follows cannot be sent. */
export interface SnakeCaseStreamReset {
  readonly type: "stream:reset";
  readonly timestamp: string;
  readonly reason: string;
  readonly requested_id: string;
  readonly first_available_id: string;
}

/**
 * The stream shows this from here on. `symbols` None means all. `unknown` names those of them that have no
 * quote; it is there if there are any.
 */
export interface SnakeCaseStreamUpdated {
  readonly type: "stream:updated";
  readonly timestamp: string;
  readonly topics: readonly string[];
  readonly symbols: readonly string[] | null;
  readonly max_rate: number;
  readonly unknown: readonly string[];
}

export interface SseHealth {
  readonly status: string;
  readonly total_connections: number;
  readonly listener_active: boolean;
  readonly connections_per_user?: Readonly<Record<string, number>> | null;
}

export interface StopLoss {
  /** fixed: from the entry; trailing: from the best price since */
  readonly kind: StopLossKind;
  /** how much worse closes the position (per cent) */
  readonly percent: number;
}

/** fixed: from the entry; trailing: from the best price since */
export type StopLossKind = "fixed" | "trailing";

/** A stop-loss reached its trigger, or its closing order was filled. Prices are in dollars a share. */
export interface StopLossReport {
  readonly type: string;
  readonly timestamp: string;
  readonly strategy_id: string;
  readonly user_id: string;
  readonly symbol: string | null;
  readonly trigger_price: number;
  readonly current_price: number;
  readonly order_id: string | null;
}

/** Whether the journal has the event. */
export type Storage = "stored" | "archived" | "erased" | "removed" | "not_stored" | "other_journal";

export interface StoredEvent {
  readonly id: string;
  readonly type: string;
  readonly owner: string;
  readonly domain: string;
  readonly entity: string;
  readonly storedAt: string;
  readonly correlationId: string;
}

export interface Strategy {
  /** its id */
  readonly strategyId: string;
  /** what its user calls it */
  readonly name: string;
  /** what it trades */
  readonly symbol: string;
  /** when it buys and sells */
  readonly rule: MovingAverageCrossover | Breakout | MeanReversion;
  /** what each order that its rule wants is for (shares) */
  readonly quantity: number;
  /** when it gives up a position, null for never */
  readonly stopLoss: StopLoss | null;
  /** executed orders that complete it, null for never */
  readonly maxTrades: number | null;
  /** what it does */
  readonly status: StrategyStatus;
  /** what it holds, below 0 when short (shares) */
  readonly position: number;
  /** average price of that, rounded to eight places (dollars a share) */
  readonly entryPrice: number | null;
  /** the one under way; there is never a second */
  readonly order: StrategyOrder | null;
  /** how many it placed */
  readonly orders: number;
  /** how many of them were executed, in part or whole */
  readonly trades: number;
  /** why its status is what it is */
  readonly message: string | null;
  /** when it last changed (UTC) */
  readonly timestamp: string;
  /** when it takes its profit, null for never */
  readonly takeProfit?: TakeProfit | null;
  /** whether stop-loss and take-profit are watched, in any status */
  readonly isProtected?: boolean | null;
  /** how its position is being closed, else null */
  readonly exit?: StrategyExit | null;
}

/** A strategy to create. `quantity` is in shares. */
export interface StrategyBody {
  readonly symbol: string;
  readonly rule: { readonly kind: "moving_average_crossover"; readonly fast: number; readonly slow: number } | { readonly kind: "breakout"; readonly window: number; readonly marginPercent?: Decimal } | { readonly kind: "mean_reversion"; readonly window: number; readonly deviations: Decimal };
  readonly quantity: Decimal;
  readonly stopLoss?: { readonly kind: "fixed" | "trailing"; readonly percent: Decimal } | null;
  readonly takeProfit?: { readonly percent: Decimal } | null;
  readonly maxTrades?: number | null;
  readonly name?: string | null;
}

/**
 * The fields to change. A null removes the stop-loss, the take-profit or the limit of trades. A
 * given stop-loss or take-profit protects the position again where that was switched off.
 */
export interface StrategyChange {
  readonly name?: string;
  readonly rule?: { readonly kind: "moving_average_crossover"; readonly fast: number; readonly slow: number } | { readonly kind: "breakout"; readonly window: number; readonly marginPercent?: Decimal } | { readonly kind: "mean_reversion"; readonly window: number; readonly deviations: Decimal };
  readonly quantity?: Decimal;
  readonly stopLoss?: { readonly kind: "fixed" | "trailing"; readonly percent: Decimal } | null;
  readonly takeProfit?: { readonly percent: Decimal } | null;
  readonly maxTrades?: number | null;
}

/** An error, of one strategy or of none in particular. */
export interface StrategyErrorReport {
  readonly type: string;
  readonly timestamp: string;
  readonly user_id: string;
  readonly strategy_id: string | null;
  readonly error_code: string;
  readonly error_message: string;
  readonly details: string | null;
}

export interface StrategyExit {
  /** what began it */
  readonly reason: ExitReason;
  /** of the order that closes the position, null to close any position */
  readonly side: Side | null;
  /** the price that began it, null when a person did (dollars a share) */
  readonly triggerPrice: number | null;
  /** closing orders that ended without closing it */
  readonly attempts?: number;
}

export interface StrategyList {
  readonly strategies: readonly Strategy[];
  readonly asOf: string;
  readonly next?: string;
}

export interface StrategyOrder {
  /** the order's id */
  readonly orderId: string;
  /** what the strategy calls it */
  readonly clientOrderId: string;
  /** buy or sell */
  readonly side: Side;
  /** what it is for, at the market (shares) */
  readonly qty: number;
  /** executed so far (shares) */
  readonly filledQty: number;
  /** that of the exit it closes the position for, else null (dollars a share) */
  readonly triggerPrice: number | null;
  /** why it closes the position, null for an order of the rule */
  readonly closes?: ExitReason | null;
}

/**
 * A change of an order. For an execution, `quantity` and `price` are those of the fill; otherwise the
 * ordered quantity and the limit price. Shares, and dollars a share. What is `requested` is not confirmed
 * yet; `waiting` is what the order waits for beside its price. Fields with a default are absent while they
 * have it.
 */
export interface StrategyOrderReport {
  readonly type: string;
  readonly timestamp: string;
  readonly strategy_id: string | null;
  readonly user_id: string;
  readonly order_id: string;
  readonly order_type: string;
  readonly symbol: string;
  readonly quantity: number;
  readonly price: number | null;
  readonly status: string;
  readonly message: string | null;
  readonly waiting?: string | null;
  readonly stop_price?: number | null;
  readonly fee?: number;
  readonly execution_id?: string | null;
  readonly requested_quantity?: number | null;
  readonly requested_price?: number | null;
  readonly requested_stop_price?: number | null;
}

/** `ltp` is the last traded price, dollars. */
export interface StrategyPrice {
  readonly type: string;
  readonly timestamp: string;
  readonly symbol: string;
  readonly ltp: number;
  readonly change: number;
  readonly change_percent: number;
}

/**
 * A change of a strategy, and its state after it. `position` is in shares, negative when short; `error_code`
 * is machine-readable.
 */
export interface StrategyReport {
  readonly type: string;
  readonly timestamp: string;
  readonly strategy_id: string;
  readonly user_id: string;
  readonly status: StrategyStatus;
  readonly position: number;
  readonly message: string;
  readonly error_code?: string | null;
  readonly details?: string | null;
}

/** The quote is too old to rely on: it was last confirmed `age` seconds ago. */
export interface StrategyStalePrice {
  readonly type: string;
  readonly timestamp: string;
  readonly symbol: string;
  readonly ltp: number;
  readonly change: number;
  readonly change_percent: number;
  readonly age: number;
}

/** The complete current state of a strategy. */
export interface StrategyState {
  readonly type: string;
  readonly timestamp: string;
  readonly strategy_id: string;
  readonly user_id: string;
  readonly status: StrategyStatus;
  readonly position: number;
  readonly message: string;
  readonly name: string;
  readonly symbol: string;
  readonly rule: unknown;
  readonly quantity: number;
  readonly stop_loss: unknown;
  readonly take_profit: unknown;
  readonly is_protected: boolean;
  readonly entry_price: number | null;
  readonly orders: number;
  readonly trades: number;
}

/** what it does */
export type StrategyStatus = "created" | "started" | "stopped" | "completed" | "error" | "deleted";

/**
 * What happens to the position of the strategy: ``protect`` watches its stop-loss and
 * take-profit on, ``leave`` leaves it alone, ``close`` closes it and cancels a pending order.
 */
export interface StrategyStop {
  /**
   * What happens to the position of a strategy that is stopped.
   *
   * ``protect``: its stop-loss and take-profit are watched on. ``leave``: nothing is watched, and
   * the position stays. ``close``: a pending order is canceled, and the position is closed.
   */
  readonly position?: "close" | "leave" | "protect";
}

/**
 * A change of a strategy, named by `change`. A signal has `action` to `reasoning`, a stop-loss and a
 * take-profit its prices in dollars a share, an error its code and details.
 */
export interface StrategyUpdate {
  readonly change: "adjusted" | "closing" | "completed" | "created" | "deleted" | "error" | "signal" | "split" | "started" | "stop_loss_executed" | "stop_loss_triggered" | "stopped" | "take_profit_executed" | "take_profit_triggered" | "traded" | "updated";
  readonly strategyId: string;
  readonly name: string;
  readonly symbol: string;
  readonly status: StrategyStatus;
  readonly position: number;
  readonly message?: string | null;
  readonly signal?: Action | null;
  readonly action?: Action | null;
  readonly confidence?: number | null;
  readonly reasoning?: string | null;
  readonly price?: number | null;
  readonly qty?: number | null;
  readonly triggerPrice?: number | null;
  readonly currentPrice?: number | null;
  readonly orderId?: string | null;
  readonly errorCode?: string | null;
  readonly details?: string | null;
  readonly timestamp: string;
}

/**
 * What to change of a stream: the fields that are given. `topics` are those of a stream's URL,
 * such as ``prices:IBM``. `symbols` null means all.
 */
export interface StreamChange {
  readonly topics?: readonly string[];
  readonly symbols?: readonly string[] | null;
  readonly maxRate?: number;
}

/** The process stops, and closes this connection in `closes_in_ms` milliseconds. */
export interface StreamDraining {
  readonly closesInMs: number;
}

/** A loss: the events between `requested_id` and the snapshot that follows cannot be sent. */
export interface StreamReset {
  readonly reason: string;
  readonly requestedId: string;
  readonly firstAvailableId: string;
}

export interface StreamStatus {
  readonly status: string;
  readonly user_connections: number;
  readonly total_connections: number;
  readonly active_users: number;
}

/**
 * The stream shows this from here on. `symbols` None means all. `unknown` names those of them that have no
 * quote; it is there if there are any.
 */
export interface StreamUpdated {
  readonly topics: readonly string[];
  readonly symbols: readonly string[] | null;
  readonly maxRate: number;
  readonly unknown?: readonly string[];
}

/**
 * The symbols that a price stream shows; None means all. `unknown` names those that have no quote; it is
 * there if there are any.
 */
export interface Subscribed {
  readonly type: string;
  readonly symbols: readonly string[] | null;
  readonly timestamp: string;
  readonly unknown?: readonly string[];
}

export interface TakeProfit {
  /** how much better closes the position (per cent) */
  readonly percent: number;
}

export interface TestEventBody {
  readonly message?: string;
}

export interface Ticket {
  readonly ticket: string;
  readonly expiresAt: string;
}

/**
 * How long an order works: until the end of the `DAY`; until it is canceled (`GTC`); only at once, in part
 * (`IOC`, immediate or cancel) or in full (`FOK`, fill or kill).
 */
export type TimeInForce = "day" | "gtc" | "ioc" | "fok";

export interface Trade {
  /** its id */
  readonly tradeId: string;
  /** the order that it executes */
  readonly orderId: string;
  /** what was traded */
  readonly symbol: string;
  /** which side of the order's user */
  readonly side: Side;
  /** what changed hands, 0 if it was busted (shares) */
  readonly qty: number;
  /** at which price (dollars a share) */
  readonly price: number;
  /** the strategy it was for, null for a person's order */
  readonly strategyId: string | null;
  /** when it was executed, or corrected (UTC) */
  readonly timestamp: string;
  /** below 0 when it is a rebate (dollars) */
  readonly fee?: number;
  /** what the broker's venue calls it */
  readonly executionId?: string | null;
  /** when it was executed, as the venue reported it (UTC) */
  readonly venueTime?: string | null;
  /** why the execution does not fit its order; it counts all the same */
  readonly exceptions?: readonly ExecutionException[];
  /** what it counted as before it was corrected */
  readonly before?: ExecutionTerms | null;
  /** what the venue calls the correction */
  readonly correctionId?: string | null;
}

/**
 * A trade is corrected: it counts as `qty` shares at `price` from here on, in the place that it has among
 * the trades. With a `qty` of 0 it is busted, and counts as if it had never been.
 */
export interface TradeCorrected {
  /** the trade that is corrected */
  readonly tradeId: string;
  /** the order that it executes */
  readonly orderId: string;
  /** what was traded */
  readonly symbol: string;
  /** which side of the order's user */
  readonly side: Side;
  /** what changed hands, 0 if it was busted (shares) */
  readonly qty: number;
  /** at which price (dollars a share) */
  readonly price: number;
  /** the strategy it was for, null for a person's order */
  readonly strategyId: string | null;
  /** when it was corrected (UTC) */
  readonly timestamp: string;
  /** what it counted as until now */
  readonly before: ExecutionTerms;
  /** counts the corrections of the order, from 1 */
  readonly number: number;
  /** below 0 when it is a rebate (dollars) */
  readonly fee?: number;
  /** what the broker's venue calls the execution */
  readonly executionId?: string | null;
  /** what the venue calls the correction */
  readonly correctionId?: string | null;
}

/**
 * `qty` shares of `symbol` were traded at `price` dollars a share for the order `order_id`. `fee` is in
 * dollars, negative for a rebate. A trade without a fee is stored without the field, as were all trades
 * before the field existed.
 */
export interface TradeExecuted {
  /** its id */
  readonly tradeId: string;
  /** the order that it executes */
  readonly orderId: string;
  /** what was traded */
  readonly symbol: string;
  /** which side of the order's user */
  readonly side: Side;
  /** what changed hands (shares) */
  readonly qty: number;
  /** at which price (dollars a share) */
  readonly price: number;
  /** the strategy it was for, null for a person's order */
  readonly strategyId: string | null;
  /** when it was executed (UTC) */
  readonly timestamp: string;
  /** below 0 when it is a rebate (dollars) */
  readonly fee?: number;
  /** what the broker's venue calls it */
  readonly executionId?: string | null;
  /** when it was executed, as the venue reported it (UTC) */
  readonly venueTime?: string | null;
  /** why the execution does not fit its order; it counts all the same */
  readonly exceptions?: readonly ExecutionException[];
}

export interface TradeList {
  readonly trades: readonly Trade[];
  readonly asOf: string;
  readonly next?: string;
}

/** The number of notifications that the user has not read. */
export interface UnreadCount {
  readonly unread: number;
  readonly timestamp: string;
}

export interface ValuedPosition {
  readonly symbol: string;
  readonly quantity: number;
  readonly entryPrice: number | null;
  readonly currentPrice: number | null;
  readonly value: number | null;
  readonly unrealizedPnL: number | null;
  readonly realizedPnL: number;
  readonly fees: number;
  readonly timestamp: string;
  readonly stale?: boolean;
}

/** Why an open order rests although it could be executed at the last known price. */
export type WaitingReason = "stale_quote" | "crossed" | "no_offer" | "no_quote";

/** The payloads of the events of each stream, by the name of the event. */
export interface EventsByStream {
  /** `GET /api/stream/metrics` */
  readonly "metrics": {
    readonly "agent:status": PublicAgentStatus;
    readonly "auth:expired": AuthExpired;
    readonly "checkpoint": Empty;
    readonly "connected": Connected;
    readonly "connection:limit": ConnectionLimit;
    readonly "metrics": ConnectionCounts;
    readonly "replay:complete": ReplayComplete;
    readonly "stream:draining": StreamDraining;
    readonly "stream:reset": StreamReset;
    readonly "stream:updated": StreamUpdated;
  };
  /** `GET /api/stream/orders` */
  readonly "orders": {
    readonly "agent:status": AgentStatus;
    readonly "auth:expired": AuthExpired;
    readonly "checkpoint": Empty;
    readonly "connected": Connected;
    readonly "connection:limit": ConnectionLimit;
    readonly "order:fill": OrderFill;
    readonly "order:update": Order | OrdersSnapshot;
    readonly "replay:complete": ReplayComplete;
    readonly "stream:draining": StreamDraining;
    readonly "stream:reset": StreamReset;
    readonly "stream:updated": StreamUpdated;
    readonly "trade:corrected": TradeCorrected;
    readonly "trade:new": TradeExecuted;
  };
  /** `GET /api/stream/positions` */
  readonly "positions": {
    readonly "agent:status": AgentStatus;
    readonly "auth:expired": AuthExpired;
    readonly "checkpoint": Empty;
    readonly "connected": Connected;
    readonly "connection:limit": ConnectionLimit;
    readonly "position:update": Positions | PositionsSnapshot;
    readonly "price:stale": Quote;
    readonly "replay:complete": ReplayComplete;
    readonly "stream:draining": StreamDraining;
    readonly "stream:reset": StreamReset;
    readonly "stream:updated": StreamUpdated;
  };
  /** `GET /api/stream/prices` */
  readonly "prices": {
    readonly "agent:status": PublicAgentStatus;
    readonly "auth:expired": AuthExpired;
    readonly "checkpoint": Empty;
    readonly "connected": Connected;
    readonly "connection:limit": ConnectionLimit;
    readonly "price:stale": Quote;
    readonly "price:update": PriceUpdate | PricesSnapshot;
    readonly "replay:complete": ReplayComplete;
    readonly "stream:draining": StreamDraining;
    readonly "stream:reset": StreamReset;
    readonly "stream:updated": StreamUpdated;
  };
  /** `GET /api/stream/trading` */
  readonly "trading": {
    readonly "account:update": Account;
    readonly "agent:status": AgentStatus;
    readonly "auth:expired": AuthExpired;
    readonly "checkpoint": Empty;
    readonly "connected": Connected;
    readonly "connection:limit": ConnectionLimit;
    readonly "order:fill": OrderFill;
    readonly "order:update": Order | OrdersSnapshot;
    readonly "position:update": Positions | PositionsSnapshot;
    readonly "price:stale": Quote;
    readonly "replay:complete": ReplayComplete;
    readonly "stream:draining": StreamDraining;
    readonly "stream:reset": StreamReset;
    readonly "stream:updated": StreamUpdated;
    readonly "trade:corrected": TradeCorrected;
    readonly "trade:new": TradeExecuted;
  };
  /** `GET /api/stream/ai-decisions` */
  readonly "ai-decisions": {
    readonly "agent:status": AgentStatus;
    readonly "ai:decision": Decision;
    readonly "auth:expired": AuthExpired;
    readonly "checkpoint": Empty;
    readonly "connected": Connected;
    readonly "connection:limit": ConnectionLimit;
    readonly "replay:complete": ReplayComplete;
    readonly "stream:draining": StreamDraining;
    readonly "stream:reset": StreamReset;
    readonly "stream:updated": StreamUpdated;
  };
  /** `GET /api/stream/strategies` */
  readonly "strategies": {
    readonly "agent:status": AgentStatus;
    readonly "auth:expired": AuthExpired;
    readonly "checkpoint": Empty;
    readonly "connected": Connected;
    readonly "connection:limit": ConnectionLimit;
    readonly "replay:complete": ReplayComplete;
    readonly "strategy:update": StrategyUpdate;
    readonly "stream:draining": StreamDraining;
    readonly "stream:reset": StreamReset;
    readonly "stream:updated": StreamUpdated;
  };
  /** `GET /api/stream/strategies/{strategy_id}` */
  readonly "strategy": {
    readonly "agent:status": AgentStatus;
    readonly "auth:expired": AuthExpired;
    readonly "checkpoint": Empty;
    readonly "connected": Connected;
    readonly "connection:limit": ConnectionLimit;
    readonly "replay:complete": ReplayComplete;
    readonly "strategy:update": StrategyUpdate;
    readonly "stream:draining": StreamDraining;
    readonly "stream:reset": StreamReset;
    readonly "stream:updated": StreamUpdated;
  };
  /** `GET /api/stream/alerts` */
  readonly "alerts": {
    readonly "agent:status": AgentStatus;
    readonly "alert:new": Alert;
    readonly "auth:expired": AuthExpired;
    readonly "checkpoint": Empty;
    readonly "connected": Connected;
    readonly "connection:limit": ConnectionLimit;
    readonly "replay:complete": ReplayComplete;
    readonly "stream:draining": StreamDraining;
    readonly "stream:reset": StreamReset;
    readonly "stream:updated": StreamUpdated;
  };
  /** `GET /api/stream` */
  readonly "topics": {
    readonly "account:update": Account;
    readonly "agent:status": AgentStatus | PublicAgentStatus;
    readonly "ai:decision": Decision;
    readonly "alert:new": Alert;
    readonly "auth:expired": AuthExpired;
    readonly "bar:snapshot": BarsSnapshot;
    readonly "bar:update": BarUpdate;
    readonly "checkpoint": Empty;
    readonly "configuration:update": ConfigurationUpdate;
    readonly "connected": Connected;
    readonly "connection:limit": ConnectionLimit;
    readonly "item:corrected": Item;
    readonly "item:metrics": ItemMetrics;
    readonly "item:retracted": RetractedItem;
    readonly "metrics": ConnectionCounts;
    readonly "new_item": Item;
    readonly "notification": Notification;
    readonly "notification:read": NotificationsRead;
    readonly "notification:unread": UnreadCount;
    readonly "order:fill": OrderFill;
    readonly "order:update": Order | OrdersSnapshot;
    readonly "position:update": Positions | PositionsSnapshot;
    readonly "price:stale": Quote;
    readonly "price:update": PriceUpdate | PricesSnapshot;
    readonly "replay:complete": ReplayComplete;
    readonly "rule:update": AlertRuleUpdate;
    readonly "strategy:update": StrategyUpdate;
    readonly "stream:draining": StreamDraining;
    readonly "stream:reset": StreamReset;
    readonly "stream:updated": StreamUpdated;
    readonly "trade:corrected": TradeCorrected;
    readonly "trade:new": TradeExecuted;
  };
  /** `GET /sse/strategies` */
  readonly "all-strategies": {
    readonly "CONNECTED": SnakeCaseConnected;
    readonly "ERROR": StrategyErrorReport;
    readonly "ORDER_CANCELLED": StrategyOrderReport;
    readonly "ORDER_EXECUTED": StrategyOrderReport;
    readonly "ORDER_FAILED": StrategyOrderReport;
    readonly "ORDER_PLACED": StrategyOrderReport;
    readonly "ORDER_REJECTED": StrategyOrderReport;
    readonly "ORDER_UPDATED": StrategyOrderReport;
    readonly "PING": Ping;
    readonly "SL_EXECUTED": StopLossReport;
    readonly "SL_TRIGGERED": StopLossReport;
    readonly "STRATEGY_COMPLETED": StrategyReport;
    readonly "STRATEGY_ERROR": StrategyReport;
    readonly "STRATEGY_STARTED": StrategyReport;
    readonly "STRATEGY_STOPPED": StrategyReport;
    readonly "STRATEGY_UPDATED": StrategyReport;
    readonly "auth:expired": SnakeCaseAuthExpired;
    readonly "checkpoint": Empty;
    readonly "connection:limit": SnakeCaseConnectionLimit;
    readonly "initial_state": StrategyState | InitialStates;
    readonly "replay:complete": SnakeCaseReplayComplete;
    readonly "state_update": StrategyState;
    readonly "stream:draining": SnakeCaseStreamDraining;
    readonly "stream:reset": SnakeCaseStreamReset;
    readonly "stream:updated": SnakeCaseStreamUpdated;
  };
  /** `GET /sse/strategies/reconnect` */
  readonly "all-strategies-again": {
    readonly "CONNECTED": SnakeCaseConnected;
    readonly "ERROR": StrategyErrorReport;
    readonly "ORDER_CANCELLED": StrategyOrderReport;
    readonly "ORDER_EXECUTED": StrategyOrderReport;
    readonly "ORDER_FAILED": StrategyOrderReport;
    readonly "ORDER_PLACED": StrategyOrderReport;
    readonly "ORDER_REJECTED": StrategyOrderReport;
    readonly "ORDER_UPDATED": StrategyOrderReport;
    readonly "PING": Ping;
    readonly "SL_EXECUTED": StopLossReport;
    readonly "SL_TRIGGERED": StopLossReport;
    readonly "STRATEGY_COMPLETED": StrategyReport;
    readonly "STRATEGY_ERROR": StrategyReport;
    readonly "STRATEGY_STARTED": StrategyReport;
    readonly "STRATEGY_STOPPED": StrategyReport;
    readonly "STRATEGY_UPDATED": StrategyReport;
    readonly "auth:expired": SnakeCaseAuthExpired;
    readonly "checkpoint": Empty;
    readonly "connection:limit": SnakeCaseConnectionLimit;
    readonly "initial_state": StrategyState | InitialStates;
    readonly "replay:complete": SnakeCaseReplayComplete;
    readonly "state_update": StrategyState;
    readonly "stream:draining": SnakeCaseStreamDraining;
    readonly "stream:reset": SnakeCaseStreamReset;
    readonly "stream:updated": SnakeCaseStreamUpdated;
  };
  /** `GET /sse/strategy/{strategy_id}` */
  readonly "one-strategy": {
    readonly "CONNECTED": SnakeCaseConnected;
    readonly "ERROR": StrategyErrorReport;
    readonly "ORDER_CANCELLED": StrategyOrderReport;
    readonly "ORDER_EXECUTED": StrategyOrderReport;
    readonly "ORDER_FAILED": StrategyOrderReport;
    readonly "ORDER_PLACED": StrategyOrderReport;
    readonly "ORDER_REJECTED": StrategyOrderReport;
    readonly "ORDER_UPDATED": StrategyOrderReport;
    readonly "PING": Ping;
    readonly "PRICE_STALE": StrategyStalePrice;
    readonly "PRICE_UPDATE": StrategyPrice;
    readonly "SL_EXECUTED": StopLossReport;
    readonly "SL_TRIGGERED": StopLossReport;
    readonly "STRATEGY_COMPLETED": StrategyReport;
    readonly "STRATEGY_ERROR": StrategyReport;
    readonly "STRATEGY_STARTED": StrategyReport;
    readonly "STRATEGY_STOPPED": StrategyReport;
    readonly "STRATEGY_UPDATED": StrategyReport;
    readonly "auth:expired": SnakeCaseAuthExpired;
    readonly "checkpoint": Empty;
    readonly "connection:limit": SnakeCaseConnectionLimit;
    readonly "initial_state": StrategyState | InitialStates;
    readonly "replay:complete": SnakeCaseReplayComplete;
    readonly "state_update": StrategyState;
    readonly "stream:draining": SnakeCaseStreamDraining;
    readonly "stream:reset": SnakeCaseStreamReset;
    readonly "stream:updated": SnakeCaseStreamUpdated;
    readonly "subscribed": Subscribed;
  };
  /** `GET /sse/prices` */
  readonly "sse-prices": {
    readonly "CONNECTED": SnakeCaseConnected;
    readonly "PING": Ping;
    readonly "PRICE_STALE": StrategyStalePrice;
    readonly "PRICE_UPDATE": StrategyPrice;
    readonly "auth:expired": SnakeCaseAuthExpired;
    readonly "checkpoint": Empty;
    readonly "connection:limit": SnakeCaseConnectionLimit;
    readonly "replay:complete": SnakeCaseReplayComplete;
    readonly "stream:draining": SnakeCaseStreamDraining;
    readonly "stream:reset": SnakeCaseStreamReset;
    readonly "stream:updated": SnakeCaseStreamUpdated;
    readonly "subscribed": Subscribed;
  };
  /** `GET /api/v2/stream` */
  readonly "dashboard": {
    readonly "auth:expired": SnakeCaseAuthExpired;
    readonly "checkpoint": Empty;
    readonly "connected": SnakeCaseConnected;
    readonly "connection:limit": SnakeCaseConnectionLimit;
    readonly "heartbeat": Heartbeat;
    readonly "item:corrected": Item;
    readonly "item:retracted": RetractedItem;
    readonly "metrics": ItemMetrics;
    readonly "new_item": Item;
    readonly "replay:complete": SnakeCaseReplayComplete;
    readonly "stream:draining": SnakeCaseStreamDraining;
    readonly "stream:reset": SnakeCaseStreamReset;
    readonly "stream:updated": SnakeCaseStreamUpdated;
  };
  /** `GET /api/v2/configurations/{configuration_id}/stream` */
  readonly "configuration": {
    readonly "auth:expired": SnakeCaseAuthExpired;
    readonly "checkpoint": Empty;
    readonly "connected": SnakeCaseConnected;
    readonly "connection:limit": SnakeCaseConnectionLimit;
    readonly "heartbeat": Heartbeat;
    readonly "item:corrected": Item;
    readonly "item:retracted": RetractedItem;
    readonly "metrics": ItemMetrics;
    readonly "new_item": Item;
    readonly "replay:complete": SnakeCaseReplayComplete;
    readonly "stream:draining": SnakeCaseStreamDraining;
    readonly "stream:reset": SnakeCaseStreamReset;
    readonly "stream:updated": SnakeCaseStreamUpdated;
  };
  /** `GET /api/sse/notifications` */
  readonly "notifications": {
    readonly "auth:expired": SnakeCaseAuthExpired;
    readonly "checkpoint": Empty;
    readonly "connected": SnakeCaseConnected;
    readonly "connection:limit": SnakeCaseConnectionLimit;
    readonly "heartbeat": Heartbeat;
    readonly "notification": Notification;
    readonly "notification:read": NotificationsRead;
    readonly "notification:unread": UnreadCount;
    readonly "replay:complete": SnakeCaseReplayComplete;
    readonly "stream:draining": SnakeCaseStreamDraining;
    readonly "stream:reset": SnakeCaseStreamReset;
    readonly "stream:updated": SnakeCaseStreamUpdated;
  };
}

/** The payloads of all events of `/api/stream`. */
export type StreamEvents = EventsByStream["topics"];

/** The payloads of the events of each topic, without events about the stream itself. */
export interface EventsByTopic {
  readonly "orders": Pick<StreamEvents, "order:fill" | "order:update" | "trade:corrected" | "trade:new">;
  readonly "positions": Pick<StreamEvents, "position:update" | "price:stale">;
  readonly "account": Pick<StreamEvents, "account:update">;
  readonly "ai-decisions": Pick<StreamEvents, "ai:decision">;
  readonly "strategies": Pick<StreamEvents, "strategy:update">;
  readonly "alerts": Pick<StreamEvents, "alert:new">;
  readonly "alert-rules": Pick<StreamEvents, "rule:update">;
  readonly "notifications": Pick<StreamEvents, "notification" | "notification:read" | "notification:unread">;
  readonly "configurations": Pick<StreamEvents, "configuration:update">;
  readonly "agents": Pick<StreamEvents, "agent:status">;
  readonly "prices": Pick<StreamEvents, "price:stale" | "price:update">;
  readonly "bars": Pick<StreamEvents, "bar:snapshot" | "bar:update">;
  readonly "items": Pick<StreamEvents, "item:corrected" | "item:retracted" | "new_item">;
  readonly "item-metrics": Pick<StreamEvents, "item:metrics">;
  readonly "connections": Pick<StreamEvents, "metrics">;
}

export type TopicName = keyof EventsByTopic;

/** The topics that need a session. */
export type PrivateTopicName = "orders" | "positions" | "account" | "ai-decisions" | "strategies" | "alerts" | "alert-rules" | "notifications" | "configurations";

export type BarInterval = BarList["interval"];

/** Every call of the REST API, by its method and path. */
export interface Calls {
  /** The user who is signed in. */
  readonly "GET /api/session": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: Session;
  };
  /**
   * Sign in as any user. Only available where the development sign-in is switched on, and
   * at a name of the client's own machine, such as localhost.
   */
  readonly "POST /api/session": {
    readonly query: undefined;
    readonly body: SignInBody;
    readonly answer: Session;
  };
  /** Revoke the session, or the JWT; its open streams end within two seconds. */
  readonly "DELETE /api/session": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: undefined;
  };
  /**
   * A ticket that opens one stream as ``?ticket=``. The stream's response sets the session
   * cookie, which an EventSource on another site does not have. A ticket works once, for at
   * most 30 seconds.
   */
  readonly "POST /api/stream/ticket": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: Ticket;
  };
  /**
   * Change the topics, symbols or rate of an open stream of the user, on any process, without
   * reconnecting. `client_id` is that of the stream's first event. Without a session, a stream
   * that was opened without one can be changed by it. By the time of the answer the
   * stream was sent the snapshots of added topics, and then `stream:updated`; after that it has
   * nothing more of what was removed, and every event of what is shown.
   */
  readonly "PATCH /api/stream/{client_id}": {
    readonly query: undefined;
    readonly body: StreamChange;
    readonly answer: ShownContent;
  };
  /** One order. */
  readonly "GET /api/orders/{order_id}": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: Order;
  };
  /**
   * Change quantity, limit or stop price of an open order, which keeps its id; 409 when
   * nothing is open, or when another change is pending. The status is `pending_replace` until
   * the broker has confirmed.
   */
  readonly "PATCH /api/orders/{order_id}": {
    readonly query: undefined;
    readonly body: ReplaceOrderBody;
    readonly answer: Order;
  };
  /**
   * Cancel the open quantity of an order; 409 when nothing is open. The status is
   * `pending_cancel` until the broker has confirmed.
   */
  readonly "DELETE /api/orders/{order_id}": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: Order;
  };
  /** All orders that the user ever placed, as they are now, the one placed last first. */
  readonly "GET /api/orders": {
    readonly query: { readonly limit?: number; readonly cursor?: string };
    readonly body: undefined;
    readonly answer: OrderList;
  };
  /** Place an order: 201, or 200 with the existing order of this clientOrderId. */
  readonly "POST /api/orders": {
    readonly query: undefined;
    readonly body: PlaceOrderBody;
    readonly answer: Order;
  };
  /**
   * All trades of the user and their corrections, the newest first. A correction is a row
   * with the trade's `tradeId`, the numbers that it counts as from there on (`qty` 0: busted),
   * and `before`.
   */
  readonly "GET /api/trades": {
    readonly query: { readonly limit?: number; readonly cursor?: string };
    readonly body: undefined;
    readonly answer: TradeList;
  };
  /** The newest quotes, of all symbols or of those in `symbols`, and how old each is. */
  readonly "GET /api/prices": {
    readonly query: { readonly symbols?: string; readonly limit?: number; readonly cursor?: string };
    readonly body: undefined;
    readonly answer: PriceList;
  };
  /**
   * Open, high, low, close and volume of a symbol in each interval, the newest first. The
   * first bar may still be open.
   */
  readonly "GET /api/bars": {
    readonly query: { readonly symbol: string; readonly interval: "1s" | "1m" | "5m" | "1d"; readonly limit?: number; readonly cursor?: string };
    readonly body: undefined;
    readonly answer: BarList;
  };
  /** The user's open and recently closed positions, at the newest prices. */
  readonly "GET /api/positions": {
    readonly query: { readonly limit?: number; readonly cursor?: string };
    readonly body: undefined;
    readonly answer: PositionList;
  };
  /**
   * The user's cash, equity, exposure, profits, fees and buying power, at the newest
   * prices.
   */
  readonly "GET /api/account": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: Account;
  };
  /**
   * The user's equity curve, the newest point first: a day of samples, and then one of each
   * sixty. Where nothing changed, there are none.
   */
  readonly "GET /api/account/equity": {
    readonly query: { readonly since?: string; readonly limit?: number; readonly cursor?: string };
    readonly body: undefined;
    readonly answer: EquityCurve;
  };
  /** One strategy. */
  readonly "GET /api/strategies/{strategy_id}": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: Strategy;
  };
  /** Change the given fields. A started strategy whose rule changes warms up again. */
  readonly "PATCH /api/strategies/{strategy_id}": {
    readonly query: undefined;
    readonly body: StrategyChange;
    readonly answer: Strategy;
  };
  /**
   * Delete a strategy that is not started, holds nothing and has no pending order. The
   * response is its last state.
   */
  readonly "DELETE /api/strategies/{strategy_id}": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: Strategy;
  };
  /** All strategies that the user ever created, the one created last first. */
  readonly "GET /api/strategies": {
    readonly query: { readonly limit?: number; readonly cursor?: string };
    readonly body: undefined;
    readonly answer: StrategyList;
  };
  /** Create a strategy. It trades once it is started. */
  readonly "POST /api/strategies": {
    readonly query: undefined;
    readonly body: StrategyBody;
    readonly answer: Strategy;
  };
  /** Start a strategy: it follows prices from now on. */
  readonly "POST /api/strategies/{strategy_id}/start": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: Strategy;
  };
  /**
   * Stop a strategy's rule. Its position is protected on, left alone or closed; without a
   * body it is protected.
   */
  readonly "POST /api/strategies/{strategy_id}/stop": {
    readonly query: undefined;
    readonly body: StrategyStop | undefined;
    readonly answer: Strategy;
  };
  /** Let a rule that has triggered trigger again. */
  readonly "POST /api/alerts/rules/{rule_id}/arm": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: AlertRule;
  };
  /** The user's rules. */
  readonly "GET /api/alerts/rules": {
    readonly query: { readonly limit?: number; readonly cursor?: string };
    readonly body: undefined;
    readonly answer: RuleList;
  };
  /** Create a rule, which raises one alert when its condition is met. */
  readonly "POST /api/alerts/rules": {
    readonly query: undefined;
    readonly body: RuleBody;
    readonly answer: AlertRule;
  };
  /** Delete a rule. The response is the last state of the rule. */
  readonly "DELETE /api/alerts/rules/{rule_id}": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: AlertRule;
  };
  /** All alerts of the user, the newest first. */
  readonly "GET /api/alerts": {
    readonly query: { readonly limit?: number; readonly cursor?: string };
    readonly body: undefined;
    readonly answer: AlertList;
  };
  /** The user's notifications, the newest first, and the number of unread ones. */
  readonly "GET /api/notifications": {
    readonly query: { readonly limit?: number; readonly cursor?: string };
    readonly body: undefined;
    readonly answer: NotificationList;
  };
  /** Mark notifications as read, on all of the user's screens. */
  readonly "POST /api/notifications/read": {
    readonly query: undefined;
    readonly body: ReadBody;
    readonly answer: ReadResult;
  };
  /** Mark all notifications as read, on all of the user's screens. */
  readonly "POST /api/notifications/read-all": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: ReadResult;
  };
  /** The counts of all items, the same as in the `metrics` events of the dashboard stream. */
  readonly "GET /api/v2/metrics": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: ItemMetrics;
  };
  /**
   * The newest `limit` items (1 to 200), those before `cursor`, or those after `since`; with
   * `configuration`, those that this configuration of the user's shows.
   */
  readonly "GET /api/v2/items": {
    readonly query: { readonly since?: string; readonly limit?: number; readonly cursor?: string; readonly configuration?: string };
    readonly body: undefined;
    readonly answer: ItemList;
  };
  /**
   * Add an item (201), or correct the one with that id (200): its content is replaced. The
   * same content again changes nothing. Only for admins and producers.
   */
  readonly "POST /api/v2/items": {
    readonly query: undefined;
    readonly body: ItemBody;
    readonly answer: Item;
  };
  /**
   * Withdraw an item: it is in no list and no count any more. The response is its last state.
   * Only for admins and producers.
   */
  readonly "DELETE /api/v2/items/{item_id}": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: Item;
  };
  /** One configuration. */
  readonly "GET /api/v2/configurations/{configuration_id}": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: Configuration;
  };
  /** Change the given fields; open streams of the configuration follow the change. */
  readonly "PATCH /api/v2/configurations/{configuration_id}": {
    readonly query: undefined;
    readonly body: ConfigurationChange;
    readonly answer: Configuration;
  };
  /** Delete a configuration. The response is the last state of the configuration. */
  readonly "DELETE /api/v2/configurations/{configuration_id}": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: Configuration;
  };
  /** The user's configurations. */
  readonly "GET /api/v2/configurations": {
    readonly query: { readonly limit?: number; readonly cursor?: string };
    readonly body: undefined;
    readonly answer: ConfigurationList;
  };
  /** Create a configuration. */
  readonly "POST /api/v2/configurations": {
    readonly query: undefined;
    readonly body: ConfigurationBody;
    readonly answer: Configuration;
  };
  /**
   * The connections of all processes; for admins by user. With
   * ``Accept: text/event-stream`` it is a stream of the same, and with ``wait`` a long-poll.
   */
  readonly "GET /api/stream/metrics": {
    readonly query: { readonly wait?: number; readonly maxRate?: number };
    readonly body: undefined;
    readonly answer: ConnectionCounts;
  };
  /** The number of connections, of all users and of the caller. */
  readonly "GET /api/sse/status": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: StreamStatus;
  };
  /** Send a test event to every connection on every process. Only for admins. */
  readonly "POST /api/stream/test": {
    readonly query: undefined;
    readonly body: TestEventBody | undefined;
    readonly answer: SentTestEvent;
  };
  /**
   * The connections of all edge processes, by stream and user, and the slowest ones. Only for
   * admins.
   */
  readonly "GET /api/operations/connections": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: ConnectionOverview;
  };
  /**
   * Why a user saw an event or did not: whether it is stored, which streams show it, where
   * the user's connections are, and whether a service is behind or has parked it. Only for
   * admins.
   */
  readonly "GET /api/operations/explain": {
    readonly query: { readonly user: string; readonly event: string };
    readonly body: undefined;
    readonly answer: Explanation;
  };
  /** How full the journal is, and which events services could not handle. Only for admins. */
  readonly "GET /api/operations/journal": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: JournalOverview;
  };
  /** The processes of all services, and how far behind they are. Only for admins. */
  readonly "GET /api/operations/services": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: ServiceOverview;
  };
  /** The health of streaming; for admins with the connections of each user. */
  readonly "GET /health/sse": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: SseHealth;
  };
  /** Answers 200 as long as the process runs. */
  readonly "GET /health/live": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: Health;
  };
  /** 200 when streams can be opened here, 503 otherwise. */
  readonly "GET /health/ready": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: Health;
  };
  /** The health of this process. */
  readonly "GET /health": {
    readonly query: undefined;
    readonly body: undefined;
    readonly answer: Health;
  };
}
