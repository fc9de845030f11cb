/** A client whose every state a test sets by hand, for the shell's own words and layout. */

import type {
  Account,
  AgentStatus,
  Alert,
  AlertRule,
  BarSeries,
  ConnectionStatus,
  Decision,
  Item,
  KeyedReadable,
  Notification,
  Order,
  Position,
  Quote,
  Readable,
  SessionState,
  Strategy,
  StreamReset,
  TapewireClient,
  Trade,
  Transport,
} from "@tapewire/client";

export class Value<T> implements Readable<T> {
  readonly #listeners = new Set<() => void>();
  #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  get = (): T => this.#value;
  set = (value: T): void => {
    this.#value = value;
    for (const listener of this.#listeners) listener();
  };
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
}

/** Rows by key. */
export class Rows<V> implements KeyedReadable<V> {
  readonly #values = new Map<string, Value<V | undefined>>();
  readonly keys = new Value<readonly string[]>([]);

  get = (key: string): V | undefined => this.#cell(key).get();
  subscribe = (key: string, listener: () => void): (() => void) =>
    this.#cell(key).subscribe(listener);
  set = (key: string, value: V): void => {
    this.#cell(key).set(value);
    if (!this.keys.get().includes(key)) this.keys.set([...this.keys.get(), key]);
  };

  #cell(key: string): Value<V | undefined> {
    let cell = this.#values.get(key);
    if (!cell) {
      cell = new Value<V | undefined>(undefined);
      this.#values.set(key, cell);
    }
    return cell;
  }

  // Of pages and of the inbox.
  readonly status = new Value({ name: "ready" } as const);
  readonly hasMore = new Value(false);
  loadMore = async () => undefined;
}

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

export function createFakeClient() {
  const status = new Value<ConnectionStatus>({ name: "live", isPolling: false });
  const session = new Value<SessionState>({
    name: "signed-in",
    userId: "ada",
    roles: [],
    expiresAt: null,
  });
  const lastEventAt = new Value<number | null>(Date.now());
  const lastReset = new Value<StreamReset | null>(null);
  const transport = new Value<Transport>("worker");
  const unread = new Value(0);
  const calls: Call[] = [];
  const retries = new Value(0);
  const rows = {
    orders: new Rows<Order>(),
    trades: new Rows<Trade>(),
    positions: new Rows<Position>(),
    strategies: new Rows<Strategy>(),
    decisions: new Rows<Decision>(),
    alerts: new Rows<Alert>(),
    alertRules: new Rows<AlertRule>(),
    items: new Rows<Item>(),
    agents: new Rows<AgentStatus>(),
  };
  const prices = Object.assign(new Rows<Quote>(), {
    isLive: (symbol: string) => status.get().name === "live" && prices.get(symbol)?.stale === false,
    ageSeconds: () => 0,
    unknown: new Value<readonly string[]>([]),
  });
  const openOrderIds = new Value<readonly string[]>([]);
  const account = new Value<Account | null>(null);
  const noBars = new Value<BarSeries>({ bars: [], isLoaded: true });
  const arrivals = new Set<(notification: Notification) => void>();
  const client = {
    session,
    prices,
    ...rows,
    openOrderIds,
    account,
    bars: () => noBars,
    itemMetrics: new Value(null),
    connectionCounts: new Value(null),
    connection: {
      status,
      lastEventAt,
      lastReset,
      transport,
      retryNow: () => retries.set(retries.get() + 1),
    },
    notifications: Object.assign(new Rows<Notification>(), {
      unread,
      markRead: async () => undefined,
      markAllRead: async () => undefined,
      onArrival: (listener: (notification: Notification) => void) => {
        arrivals.add(listener);
        return () => arrivals.delete(listener);
      },
    }),
    call: async (method: string, path: string, body?: unknown) => {
      calls.push({ method, path, body });
      return path === "/api/strategies" ? { strategyId: "s 1" } : {};
    },
    signIn: async (userId: string, roles: readonly string[] = []) =>
      session.set({ name: "signed-in", userId, roles, expiresAt: null }),
    signOut: async () => session.set({ name: "signed-out", reason: "by-user" }),
    close: () => undefined,
  } as unknown as TapewireClient;
  return {
    client,
    session,
    prices,
    ...rows,
    account,
    status,
    lastEventAt,
    lastReset,
    transport,
    unread,
    /** Bring a notification to the page, if it listens. */
    arrive: (notification: Partial<Notification>) => {
      const whole = { ...ARRIVAL, ...notification };
      for (const listener of arrivals) listener(whole);
    },
    calls,
    retries,
  };
}

const ARRIVAL: Notification = {
  id: "n-1",
  type: "message",
  title: "Margin",
  message: "Add funds",
  payload: {},
  is_read: false,
  created_at: "2026-01-05T14:30:00Z",
};

export type FakeClient = ReturnType<typeof createFakeClient>;
