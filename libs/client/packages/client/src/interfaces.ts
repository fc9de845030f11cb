/**
 * The public interfaces of the client. This module has no code. Start reading at `TapewireClient`.
 *
 * Stores are readable values with listeners, made for `useSyncExternalStore`: `get` returns the same
 * reference until the value changes. A store asks the server for its data while it has a listener.
 */

import type { AnswerOf, BodyOf, CallArguments } from "./calls.js";
import type {
  Account,
  AgentStatus,
  Alert,
  AlertRule,
  Bar,
  BarInterval,
  Configuration,
  ConnectionCounts,
  Decision,
  Item,
  ItemMetrics,
  Notification,
  Order,
  Position,
  Quote,
  Strategy,
  Trade,
} from "./generated/types.js";
import type { StreamEvent } from "./source.js";
import type { StateByView } from "./views/states.js";

export type Unsubscribe = () => void;

/** A value that changes. */
export interface Readable<T> {
  get(): T;
  subscribe(listener: () => void): Unsubscribe;
}

/** Many values by key; a change of one notifies the listeners of its key alone. */
export interface KeyedReadable<V> {
  get(key: string): V | undefined;
  subscribe(key: string, listener: () => void): Unsubscribe;
  /** The keys in the store's order; a new array when a key comes, goes or moves. */
  readonly keys: Readable<readonly string[]>;
}

/** Why a list is not complete, or that it is. */
export type ListStatus =
  | { readonly name: "loading" }
  | { readonly name: "ready" }
  /** The last request failed. What was loaded before is still there. */
  | { readonly name: "failed"; readonly error: Error };

/** Rows that follow the stream, the newest first, and older rows by pages of the REST API. */
export interface PagedStore<V> extends KeyedReadable<V> {
  readonly status: Readable<ListStatus>;
  /** Whether there are older rows to load. */
  readonly hasMore: Readable<boolean>;
  /** Load the next page of older rows. Its error is in `status` as well. */
  loadMore(options?: { signal?: AbortSignal }): Promise<void>;
}

export interface BarSeries {
  /** The oldest first; the last one may be open. */
  readonly bars: readonly Bar[];
  readonly isLoaded: boolean;
}

export type SessionState =
  | { readonly name: "loading" }
  | {
      readonly name: "signed-in";
      readonly userId: string;
      readonly roles: readonly string[];
      readonly expiresAt: string | null;
    }
  | { readonly name: "signed-out"; readonly reason: SignedOutReason }
  /** It is not known who is signed in; the client asks again at `retryAt` (epoch milliseconds). */
  | { readonly name: "unreachable"; readonly reason: string; readonly retryAt: number };

export type SignedOutReason = "never" | "by-user" | "expired" | "revoked";

/** The state of the one connection, for words and for the question whether prices are current. */
export type ConnectionStatus =
  | { readonly name: "connecting"; readonly tries: number }
  /** Events after the last position arrive; `received` of them so far. */
  | { readonly name: "catching-up"; readonly received: number }
  | { readonly name: "live"; readonly isPolling: boolean }
  /** Nothing has arrived since `since` (epoch milliseconds) although it should have: no price is current. */
  | { readonly name: "stale"; readonly since: number }
  | {
      readonly name: "reconnecting";
      readonly retryAt: number;
      readonly reason: string;
      readonly tries: number;
    }
  | { readonly name: "signed-out"; readonly reason: string }
  /** For good, until the page is loaded anew: too many connections, or the server refuses. */
  | { readonly name: "refused"; readonly reason: string; readonly error: Error | null };

/** Who holds the connection. */
export type Transport = "worker" | "leader" | "follower" | "own" | "none";

/** The server could not resume: the views were replaced by snapshots. */
export interface StreamReset {
  readonly reason: "malformed" | "epoch" | "ahead" | "trimmed" | "limit";
  readonly at: number;
}

export interface ConnectionInfo {
  readonly status: Readable<ConnectionStatus>;
  /** Epoch milliseconds of the last event that arrived, keepalives left out; null before the first. */
  readonly lastEventAt: Readable<number | null>;
  readonly lastReset: Readable<StreamReset | null>;
  readonly transport: Readable<Transport>;
  /** End the wait before the next try. */
  retryNow(): void;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  /** The same call with the same key is carried out at most once. */
  readonly idempotencyKey?: string;
  /** The user whom the call is meant for; the signed-in user by default. */
  readonly user?: string;
}

export interface InboxStore extends PagedStore<Notification> {
  readonly unread: Readable<number>;
  markRead(ids: readonly string[], options?: CallOptions): Promise<void>;
  markAllRead(options?: CallOptions): Promise<void>;
  /** Called once, in one tab of the browser, for each notification that arrives while the page is open. */
  onArrival(listener: (notification: Notification) => void): Unsubscribe;
}

export interface QuoteStore extends KeyedReadable<Quote> {
  /** Whether the price of a symbol is current: quoted, not stale, on a live connection. */
  isLive(symbol: string): boolean;
  /** Seconds since the quote was confirmed, now; null without a quote. */
  ageSeconds(symbol: string): number | null;
  /** Symbols that were asked for and have no quote. */
  readonly unknown: Readable<readonly string[]>;
}

export interface TapewireOptions {
  /** "" for the page's own origin. */
  readonly baseUrl?: string;
  /** A bearer token; called again before it expires and after a 401. Cookies are used without it. */
  readonly token?: () => string | Promise<string>;
  /** How tabs share a connection; "auto" takes the first that the browser has. */
  readonly sharing?: "auto" | "worker" | "leader" | "none";
  /** The URL of the shared worker's module; without it "auto" leaves the worker out. */
  readonly workerUrl?: string | URL;
  readonly fetch?: typeof globalThis.fetch;
}

/** What is replayed. Times are ISO 8601 or event ids. */
export interface ReplayOptions {
  /** Topics whose events have ids; by default all of the user. */
  readonly topics?: readonly string[];
  readonly since: string;
  /** By default now. */
  readonly until?: string;
}

export type ReplayStatus =
  | { readonly name: "loading"; readonly received: number }
  /** `isCut`: there were more events than a replay has; it ends with the last one that it has. */
  | { readonly name: "complete"; readonly received: number; readonly isCut: boolean }
  | { readonly name: "failed"; readonly received: number; readonly error: Error };

/** The past of the user as it was after one event of a replay. */
export interface ReplayMoment {
  /** How many events of the replay it has. */
  readonly count: number;
  /** The last of them; null before the first one. */
  readonly event: StreamEvent | null;
  /** Epoch milliseconds of that event; null before the first one. */
  readonly time: number | null;
  /** The state of the view of a topic, made of the events of the replay alone. */
  view<N extends keyof StateByView>(topic: N): StateByView[N];
}

/** Events of the past, for a time slider. */
export interface Replay {
  readonly status: Readable<ReplayStatus>;
  /** Epoch milliseconds of each event, in order. New ones are added while it is loading. */
  readonly times: readonly number[];
  /** How it was at a time, in epoch milliseconds. */
  at(time: number): ReplayMoment;
  /** How it was after the first `count` events. */
  after(count: number): ReplayMoment;
  /** Stop loading. What was loaded stays. */
  close(): void;
}

export interface TapewireClient {
  readonly session: Readable<SessionState>;
  readonly connection: ConnectionInfo;

  /** All symbols, or those with a listener: `keys` asks for all, `subscribe(symbol)` for one. */
  readonly prices: QuoteStore;
  bars(symbol: string, interval: BarInterval): Readable<BarSeries>;
  readonly orders: PagedStore<Order>;
  /** Orders that may still be executed, the newest first; a new array when one opens or closes. */
  readonly openOrderIds: Readable<readonly string[]>;
  /** Executions. */
  readonly trades: PagedStore<Trade>;
  readonly positions: KeyedReadable<Position>;
  readonly account: Readable<Account | null>;
  readonly strategies: PagedStore<Strategy>;
  readonly decisions: PagedStore<Decision>;
  readonly alerts: PagedStore<Alert>;
  readonly alertRules: PagedStore<AlertRule>;
  /** What selects the items of a dashboard. */
  readonly configurations: PagedStore<Configuration>;
  readonly notifications: InboxStore;
  readonly items: PagedStore<Item>;
  readonly itemMetrics: Readable<ItemMetrics | null>;
  readonly agents: KeyedReadable<AgentStatus>;
  readonly connectionCounts: Readable<ConnectionCounts | null>;

  /**
   * Call the REST API. Body and answer have the types of the OpenAPI document, by method and path.
   *
   * @throws ApiError  the server refused; `field`, `value`, `retryAfterMs`, `outcome`
   * @throws Unreachable  nobody knows whether it was carried out
   */
  call<Method extends string, Path extends string>(
    method: Method,
    path: Path,
    ...args: CallArguments<BodyOf<Method, Path>>
  ): Promise<AnswerOf<Method, Path>>;
  /** The same with an answer that the caller names. */
  call<T>(method: string, path: string, body?: unknown, options?: CallOptions): Promise<T>;
  /** Load what happened, on a connection of its own that ends with it. */
  replay(options: ReplayOptions): Replay;
  /** The development sign-in. */
  signIn(userId: string, roles?: readonly string[]): Promise<void>;
  signOut(): Promise<void>;
  close(): void;
}
