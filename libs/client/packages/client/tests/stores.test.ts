/** Stores: demand, notification by key, and how they follow accounts and resets. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ApiError } from "../src/rest.js";
import { RELEASE_AFTER_MS } from "../src/stores/demand.js";
import { createStores, type Stores } from "../src/stores/index.js";
import { emptyView } from "../src/topics.js";
import { CONNECTED, event, idOf, item, notification, order, position, quote, tick, TIME, trade } from "./events.js";
import { counter, FakeCalls, FakeSource, listen } from "./fake-source.js";

let source: FakeSource;
let calls: FakeCalls;
let stores: Stores;
let now = 10_000;

beforeEach(() => {
  vi.useFakeTimers();
  source = new FakeSource();
  calls = new FakeCalls();
  stores = createStores({ source, call: calls.call, now: () => now });
});

afterEach(() => {
  stores.close();
  expect(source.topics).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const settle = async (): Promise<void> => void (await vi.advanceTimersByTimeAsync(0));
const snapshot = (sequence: number, ...orders: unknown[]) => event("order:update", { snapshot: true, orders, timestamp: TIME }, sequence);
const ordersPage = (sequence: number, orders: unknown[], next?: string) => ({ orders, asOf: idOf(sequence), ...(next && { next }) });

describe("demand", () => {
  test("a topic is asked for while there is a listener, and a little longer", () => {
    const stops = [stores.positions.subscribe("A", () => {}), stores.positions.keys.subscribe(() => {})];
    expect(source.topics).toEqual(["positions"]);
    for (const stop of stops) stop();
    vi.advanceTimersByTime(RELEASE_AFTER_MS - 1);
    expect(source.topics).toEqual(["positions"]);
    vi.advanceTimersByTime(1);
    expect(source.topics).toEqual([]);
  });

  test("who comes back in time keeps the topic", () => {
    stores.account.subscribe(() => {})();
    vi.advanceTimersByTime(RELEASE_AFTER_MS - 1);
    const stop = stores.account.subscribe(() => {});
    vi.advanceTimersByTime(RELEASE_AFTER_MS * 3);
    expect(source.topics).toEqual(["account"]);
    stop();
  });

  test("the same function twice leaves one by one, and a listener that leaves twice leaves once", () => {
    const listener = counter();
    const [one, other] = [stores.account.subscribe(listener), stores.account.subscribe(listener)];
    one();
    one();
    source.send(event("account:update", { cash: 1 }));
    expect(listener.count).toBe(1);
    other();
  });

  test.each([
    ["status", (all: Stores) => all.orders.status],
    ["hasMore", (all: Stores) => all.orders.hasMore],
    ["keys", (all: Stores) => all.orders.keys],
    ["the other list of the topic", (all: Stores) => all.trades.keys],
  ])("orders are asked for by %s", (_, pick) => {
    const stop = listen(pick(stores));
    expect(source.topics).toEqual(["orders"]);
    stop();
  });
});

describe("prices", () => {
  const PRICES = event("price:update", { initializing: true, prices: [quote("B", 2), quote("A", 1, { age: 3 })], timestamp: TIME }, null, 8_000);

  test("a tick of one symbol calls its listeners only", () => {
    const [a, b, keys] = [counter(), counter(), counter()];
    const stops = [stores.prices.subscribe("A", a), stores.prices.subscribe("B", b), stores.prices.keys.subscribe(keys)];
    source.send(CONNECTED, PRICES);
    expect([a.count, b.count, keys.count]).toEqual([1, 1, 1]);
    expect(stores.prices.keys.get()).toEqual(["A", "B"]);
    const kept = [stores.prices.get("B"), stores.prices.keys.get()];
    source.send(tick("A", 5));
    expect([a.count, b.count, keys.count]).toEqual([2, 1, 1]);
    expect(stores.prices.get("A")?.price).toBe(5);
    expect([stores.prices.get("B"), stores.prices.keys.get()]).toEqual(kept);
    expect(stores.prices.get("B")).toBe(kept[0]);
    for (const stop of stops) stop();
  });

  test("one symbol asks for its topic, keys for all", () => {
    const stop = stores.prices.subscribe("A", () => {});
    expect(source.topics).toEqual(["prices:A"]);
    const stopAll = listen(stores.prices.keys);
    expect(source.topics).toEqual(["prices", "prices:A"]);
    stop();
    stopAll();
  });

  test("without a listener of all, the keys are those that were asked for", () => {
    const stop = stores.prices.subscribe("a", () => {});
    source.send(CONNECTED, PRICES);
    expect(stores.prices.keys.get()).toEqual(["A"]);
    expect(stores.prices.get("a")).toBe(stores.prices.get("A"));
    stop();
  });

  test("the age goes on from what the server said", () => {
    const stop = listen(stores.prices.keys);
    source.send(CONNECTED, PRICES);
    now = 10_500;
    expect([stores.prices.ageSeconds("A"), stores.prices.ageSeconds("B"), stores.prices.ageSeconds("X")]).toEqual([5.5, 2.5, null]);
    stop();
  });

  test("a price is live while it is quoted, fresh, shown and the connection is current", () => {
    const [listener, stop] = [counter(), stores.prices.subscribe("A", () => {})];
    const leave = stores.prices.subscribe("A", listener);
    expect(stores.prices.isLive("A")).toBe(false);
    source.send(CONNECTED, PRICES);
    expect([stores.prices.isLive("A"), stores.prices.isLive("B")]).toEqual([true, false]); // B is not shown
    source.isCurrent.set(false);
    expect(listener.count).toBe(2);
    expect(stores.prices.isLive("A")).toBe(false);
    source.isCurrent.set(true);
    source.send(event("price:stale", quote("A", 1, { stale: true, age: 4 })));
    expect(stores.prices.isLive("A")).toBe(false);
    source.send(tick("A", 1));
    expect(stores.prices.isLive("A")).toBe(true);
    leave();
    stop();
    vi.advanceTimersByTime(RELEASE_AFTER_MS);
    expect(stores.prices.isLive("A")).toBe(false);
  });

  test("a symbol that was asked for and has no quote is unknown until it has one", () => {
    const stop = stores.prices.subscribe("X", () => {});
    source.send(CONNECTED, event("price:update", { initializing: true, prices: [], unknown: ["X", "Y"], timestamp: TIME }));
    expect(stores.prices.unknown.get()).toEqual(["X"]);
    source.send(tick("X", 1));
    expect(stores.prices.unknown.get()).toEqual([]);
    stop();
  });
});

describe("values", () => {
  test("rows keep their identity, and only what changed is notified", () => {
    const [a, b] = [counter(), counter()];
    const stops = [stores.positions.subscribe("A", a), stores.positions.subscribe("B", b)];
    source.send(CONNECTED, event("position:update", { positions: [position("A"), position("B")], totalValue: 1, snapshot: true, timestamp: TIME }, 1));
    const kept = stores.positions.get("B");
    source.send(event("position:update", { positions: [position("A", { quantity: 2 }), position("B")], totalValue: 1, timestamp: TIME }, 2));
    expect([a.count, b.count]).toEqual([2, 1]);
    expect(stores.positions.get("B")).toBe(kept);
    for (const stop of stops) stop();
  });

  test("a series of bars is one store, and changes with its own interval only", () => {
    const store = stores.bars("A", "1m");
    expect(stores.bars("A", "1m")).toBe(store);
    const stop = listen(store);
    source.send(event("bar:snapshot", { symbol: "A", interval: "5m", bars: [] }));
    expect(store.get()).toEqual({ bars: [], isLoaded: false });
    source.send(event("bar:snapshot", { symbol: "A", interval: "1m", bars: [] }));
    expect(store.get().isLoaded).toBe(true);
    stop();
  });

  test("without a listener, get still shows what the view has", () => {
    const stop = listen(stores.account);
    source.send(event("account:update", { cash: 1 }));
    stop();
    vi.advanceTimersByTime(RELEASE_AFTER_MS);
    source.signIn(null);
    expect(stores.account.get()).toBeNull();
  });
});

describe("lists", () => {
  test("the first page is loaded when the view is complete, and older ones by cursor", async () => {
    const stop = listen(stores.orders.keys);
    source.send(CONNECTED);
    expect(calls.paths).toEqual([]);
    source.send(snapshot(5, order("old"), order("a")));
    expect(stores.orders.keys.get()).toEqual(["a", "old"]);
    expect(calls.paths).toEqual(["GET /api/orders"]);
    calls.made[0]!.answer(ordersPage(6, [order("b"), order("a")], "c/1"));
    await settle();
    expect(stores.orders.keys.get()).toEqual(["b", "a", "old"]);
    expect([stores.orders.hasMore.get(), stores.orders.status.get().name]).toEqual([true, "ready"]);
    source.send(event("order:update", order("new"), 7));
    expect(stores.orders.keys.get()).toEqual(["new", "b", "a", "old"]);
    const more = stores.orders.loadMore();
    expect(calls.paths.at(-1)).toBe("GET /api/orders?cursor=c%2F1");
    calls.made[1]!.answer(ordersPage(8, [order("older"), order("old")]));
    await more;
    expect(stores.orders.keys.get()).toEqual(["new", "b", "a", "older", "old"]);
    expect(stores.orders.hasMore.get()).toBe(false);
    stop();
  });

  test("what the stream says later than the page wins, and what it says earlier does not", async () => {
    const stop = listen(stores.orders.keys);
    source.send(CONNECTED, snapshot(5, order("a"), order("b")));
    source.send(event("order:update", order("a", { filledQty: 9, status: "filled" }), 9), event("order:update", order("b", { filledQty: 7 }), 7));
    calls.made[0]!.answer(ordersPage(8, [order("a", { filledQty: 8 }), order("b", { filledQty: 8 })]));
    await settle();
    expect([stores.orders.get("a")?.filledQty, stores.orders.get("b")?.filledQty]).toEqual([9, 8]);
    stop();
  });

  test("a page that is older than the view is asked for again", async () => {
    const stop = listen(stores.trades.keys);
    source.send(CONNECTED, snapshot(9));
    calls.made[0]!.answer({ trades: [], asOf: idOf(7) });
    await vi.advanceTimersByTimeAsync(200);
    expect(calls.made).toHaveLength(2);
    calls.made[1]!.answer({ trades: [trade("t8")], asOf: idOf(9) });
    await settle();
    expect(stores.trades.keys.get()).toEqual(["t8"]);
    stop();
  });

  test("executions of before a reload come from the page, and corrections change their rows", async () => {
    const stop = listen(stores.trades.keys);
    source.send(CONNECTED, snapshot(9));
    const before = { qty: 5, price: 100, fee: 0 };
    calls.made[0]!.answer({
      trades: [trade("t2"), trade("t1", { qty: 4, before, timestamp: "2026-01-05T16:00:00Z" }), trade("t1", { qty: 5, venueTime: "v" })],
      asOf: idOf(9),
    });
    await settle();
    expect(stores.trades.keys.get()).toEqual(["t2", "t1"]);
    expect(stores.trades.get("t1")).toEqual(trade("t1", { qty: 4, before, venueTime: "v" }));
    source.send(event("trade:corrected", { ...trade("t2", { qty: 0 }), before, number: 1 }, 10), event("trade:new", trade("t3"), 11));
    expect(stores.trades.keys.get()).toEqual(["t3", "t2", "t1"]);
    expect(stores.trades.get("t2")).toMatchObject({ qty: 0, before });
    stop();
  });

  test("a failure is a status, what was loaded stays, and the first page is tried again", async () => {
    const stop = listen(stores.alerts.keys);
    source.send(CONNECTED, event("alert:new", { alertId: "a" }), event("checkpoint", {}, 3));
    calls.made[0]!.fail(new Error("away"));
    await settle();
    expect(stores.alerts.status.get()).toEqual({ name: "failed", error: new Error("away") });
    expect(stores.alerts.keys.get()).toEqual(["a"]);
    await vi.advanceTimersByTimeAsync(1_000);
    calls.made[1]!.answer({ alerts: [{ alertId: "b" }, { alertId: "a" }], asOf: idOf(3) });
    await settle();
    expect([stores.alerts.status.get().name, stores.alerts.keys.get()]).toEqual(["ready", ["b", "a"]]);
    stop();
  });

  test("a call that the server refuses is not tried again", async () => {
    const stop = listen(stores.alerts.keys);
    source.send(CONNECTED, event("checkpoint", {}, 3));
    calls.made[0]!.fail(new ApiError({ error: "Forbidden", message: "no", statusCode: 403 }, null));
    await vi.advanceTimersByTimeAsync(120_000);
    expect([calls.made.length, stores.alerts.status.get().name]).toEqual([1, "failed"]);
    stop();
  });

  test("without a stream the page is loaded after a while, and again when the view is complete", async () => {
    const stop = listen(stores.alerts.keys);
    await vi.advanceTimersByTimeAsync(2_000);
    calls.made[0]!.answer({ alerts: [{ alertId: "a" }], asOf: idOf(3) });
    await settle();
    expect(stores.alerts.keys.get()).toEqual(["a"]);
    source.send(CONNECTED, event("checkpoint", {}, 5));
    calls.made[1]!.answer({ alerts: [{ alertId: "b" }, { alertId: "a" }], asOf: idOf(5) });
    await settle();
    expect([calls.made.length, stores.alerts.keys.get()]).toEqual([2, ["b", "a"]]);
    stop();
  });

  test("a reset loads anew, and rows that are gone leave", async () => {
    const stop = listen(stores.orders.keys);
    source.send(CONNECTED, snapshot(5, order("a")));
    calls.made[0]!.answer(ordersPage(5, [order("a"), order("b")], "c"));
    await settle();
    const kept = stores.orders.get("b");
    source.send(event("stream:reset", { reason: "trimmed" }), snapshot(50, order("c")));
    expect(stores.orders.get("b")).toBe(kept); // until the answer
    calls.made[1]!.answer(ordersPage(50, [order("c"), order("b")]));
    await settle();
    expect([stores.orders.keys.get(), stores.orders.hasMore.get()]).toEqual([["c", "b"], false]);
    expect(stores.orders.get("b")).toBe(kept);
    stop();
  });

  test("the view of another hub loads anew", async () => {
    const stop = listen(stores.orders.keys);
    source.send(CONNECTED, snapshot(5, order("a")));
    calls.made[0]!.answer(ordersPage(5, [order("a")]));
    await settle();
    source.replace("orders", { ...source.view("orders"), position: idOf(8) });
    expect(calls.made).toHaveLength(2);
    calls.made[1]!.answer(ordersPage(8, [order("a")]));
    stop();
    await settle();
  });

  test("a cursor of another journal starts the list anew", async () => {
    const stop = listen(stores.orders.keys);
    source.send(CONNECTED, snapshot(5));
    calls.made[0]!.answer(ordersPage(5, [order("a")], "c"));
    await settle();
    const more = stores.orders.loadMore();
    calls.made[1]!.fail(new ApiError({ error: "x", message: "x", statusCode: 422, path: "cursor" }, null));
    await settle();
    calls.made[2]!.answer(ordersPage(6, [order("z")]));
    await more;
    expect(stores.orders.keys.get()).toEqual(["z"]);
    stop();
  });

  test("loadMore rejects with its error and when it is aborted, and asks once for two callers", async () => {
    const stop = listen(stores.orders.keys);
    source.send(CONNECTED, snapshot(5));
    calls.made[0]!.answer(ordersPage(5, [order("a")], "c"));
    await settle();
    const abort = new AbortController();
    const [one, other] = [stores.orders.loadMore({ signal: abort.signal }), stores.orders.loadMore()];
    const errors = Promise.allSettled([one, other]);
    abort.abort(new Error("left"));
    calls.made[1]!.fail(new Error("away"));
    expect((await errors).map((each) => (each as PromiseRejectedResult).reason.message)).toEqual(["left", "away"]);
    expect(calls.made).toHaveLength(2);
    stop();
  });

  test("an item that was retracted is not brought back by an older page", async () => {
    const stop = listen(stores.items.keys);
    source.send(CONNECTED, event("checkpoint", {}, 3));
    source.send(event("item:retracted", { id: "i", reason: "" }, 9));
    calls.made[0]!.answer({ items: [item("i"), item("j")], as_of: idOf(8), more: false, reset: false });
    await settle();
    expect(stores.items.keys.get()).toEqual(["j"]);
    stop();
  });

  test("rules are in the order in which they were made", async () => {
    const stop = listen(stores.alertRules.keys);
    source.send(CONNECTED, event("checkpoint", {}, 3));
    calls.made[0]!.answer({ rules: [{ ruleId: "a" }, { ruleId: "b" }], asOf: idOf(3) });
    await settle();
    source.send(event("rule:update", { ruleId: "c", change: "created" }, 4));
    expect(stores.alertRules.keys.get()).toEqual(["a", "b", "c"]);
    stop();
  });

  test("decisions have no pages: the newest first, ready when the view is complete", () => {
    const stop = listen(stores.decisions.keys);
    const decision = (decisionId: string) => event("ai:decision", { decisionId });
    source.send(CONNECTED, decision("a"), decision("b"));
    expect(stores.decisions.status.get().name).toBe("loading");
    source.send(event("checkpoint", {}, 3));
    expect([stores.decisions.status.get().name, stores.decisions.keys.get(), calls.made]).toEqual(["ready", ["b", "a"], []]);
    stop();
  });
});

describe("accounts", () => {
  test("another user: nothing of the former one is shown, not even while loading or by a late answer", async () => {
    const stop = listen(stores.orders.keys, stores.account, stores.positions.keys, stores.notifications.unread);
    source.send(CONNECTED, snapshot(5, order("a")), event("account:update", { cash: 1 }), event("notification:unread", { unread: 3 }));
    const late = calls.made.find(({ path }) => path === "/api/orders")!;
    source.signIn("bob");
    expect([stores.orders.keys.get(), stores.orders.get("a"), stores.account.get(), stores.notifications.unread.get()]).toEqual([[], undefined, null, 0]);
    late.answer(ordersPage(5, [order("a")]));
    await settle();
    expect(stores.orders.keys.get()).toEqual([]);
    expect((late.options as { signal: AbortSignal }).signal.aborted).toBe(true);
    source.send(CONNECTED, snapshot(6, order("b")));
    const own = calls.made.filter(({ path }) => path === "/api/orders").at(-1)!;
    expect(own.options).toMatchObject({ user: "bob" });
    own.answer(ordersPage(6, [order("b")]));
    await settle();
    expect(stores.orders.keys.get()).toEqual(["b"]);
    stop();
  });

  test("signed out: nothing private is loaded, and what is public goes on", async () => {
    source.signIn(null);
    const stop = listen(stores.orders.keys, stores.items.keys);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(calls.paths).toEqual(["GET /api/v2/items"]);
    calls.made[0]!.answer({ items: [item("i")], as_of: idOf(1), more: false, reset: false });
    await settle();
    source.signIn("bob");
    expect(stores.items.keys.get()).toEqual(["i"]);
    stop();
  });
});

describe("the inbox", () => {
  const open = async (...notifications: unknown[]): Promise<() => void> => {
    const stop = listen(stores.notifications.keys, stores.notifications.unread);
    source.send(CONNECTED, event("notification:unread", { unread: 4, timestamp: TIME }), event("checkpoint", {}, 5));
    calls.made[0]!.answer({ notifications, unread: 4, as_of: idOf(5) });
    await settle();
    return stop;
  };
  const isRead = (id: string) => stores.notifications.get(id)?.is_read;

  test("marking as read is shown at once, and confirmed by the answer and the event, in any order", async () => {
    const stop = await open(notification("a"), notification("b"));
    const done = stores.notifications.markRead(["a"]);
    expect([isRead("a"), isRead("b"), stores.notifications.unread.get()]).toEqual([true, false, 3]);
    source.send(event("notification:read", { ids: ["a"], timestamp: TIME }, 6));
    expect([isRead("a"), stores.notifications.unread.get()]).toEqual([true, 3]);
    calls.made[1]!.answer({ read: 1, unread: 3 });
    await done;
    expect([isRead("a"), stores.notifications.unread.get()]).toEqual([true, 3]);
    stop();
  });

  test("the answer before the event", async () => {
    const stop = await open(notification("a"));
    const done = stores.notifications.markRead(["a"]);
    calls.made[1]!.answer({ read: 1, unread: 3 });
    await done;
    expect([isRead("a"), stores.notifications.unread.get()]).toEqual([true, 3]);
    source.send(event("notification:read", { ids: ["a"], timestamp: TIME }, 6));
    expect([isRead("a"), stores.notifications.unread.get()]).toEqual([true, 3]);
    stop();
  });

  test("a call that fails is taken back", async () => {
    const stop = await open(notification("a"), notification("b"));
    const done = stores.notifications.markRead(["a", "a", "b"]);
    expect(stores.notifications.unread.get()).toBe(2);
    calls.made[1]!.fail(new Error("away"));
    await expect(done).rejects.toThrow("away");
    expect([isRead("a"), isRead("b"), stores.notifications.unread.get()]).toEqual([false, false, 4]);
    stop();
  });

  test("reading all: what arrives meanwhile is unread, a failure is taken back", async () => {
    const stop = await open(notification("a"));
    const done = stores.notifications.markAllRead();
    expect([isRead("a"), stores.notifications.unread.get()]).toEqual([true, 0]);
    source.send(event("notification", notification("new"), 6));
    expect([isRead("new"), stores.notifications.unread.get()]).toEqual([false, 1]);
    calls.made[1]!.fail(new Error("away"));
    await expect(done).rejects.toThrow("away");
    expect([isRead("a"), stores.notifications.unread.get()]).toEqual([false, 5]);
    stop();
  });

  test("what another screen reads is read here, also on pages that the view does not have", async () => {
    const stop = await open(notification("a"), notification("b"));
    source.send(event("notification:read", { ids: ["b"], timestamp: TIME }, 6));
    expect([isRead("a"), isRead("b"), stores.notifications.unread.get()]).toEqual([false, true, 3]);
    source.send(event("notification:read", { ids: null, timestamp: TIME }, 7));
    expect([isRead("a"), stores.notifications.unread.get()]).toEqual([true, 0]);
    stop();
  });

  test("more ids than a call takes, and none that are read", async () => {
    const stop = await open(notification("read", { is_read: true }));
    calls.respond = (method) => (method === "POST" ? { read: 1, unread: 1 } : undefined);
    await stores.notifications.markRead([...Array.from({ length: 250 }, (_, n) => `n${n}`), "read"]);
    expect(calls.made.slice(1).map(({ body }) => (body as { ids: string[] }).ids.length)).toEqual([200, 50]);
    await stores.notifications.markRead(["read"]);
    expect(calls.made).toHaveLength(3);
    stop();
  });

  test("an arrival is announced where the change says so, once, and not for what was there before", async () => {
    const seen: string[] = [];
    const leave = stores.notifications.onArrival((one) => seen.push(one.id));
    expect([source.topics, source.offers]).toEqual([["notifications"], 1]);
    const stop = await open(notification("old"));
    source.send(event("notification", notification("elsewhere"), 6));
    source.announces = true;
    source.send(event("notification", notification("here"), 7), event("notification", notification("snapshot")));
    source.send(event("notification", notification("here"), 7));
    expect(seen).toEqual(["here"]);
    leave();
    leave();
    expect(source.offers).toBe(0);
    stop();
  });
});

describe("strategies", () => {
  const strategy = (strategyId: string, fields = {}) => ({ strategyId, name: strategyId, symbol: "A", status: "created", position: 0, message: null, timestamp: TIME, trades: 0, ...fields });
  const update = (strategyId: string, change: string, sequence: number, fields = {}) =>
    event("strategy:update", { change, strategyId, name: strategyId, symbol: "A", status: "started", position: 1, timestamp: TIME, ...fields }, sequence);
  const open = async (): Promise<() => void> => {
    const stop = listen(stores.strategies.keys);
    source.send(CONNECTED, event("checkpoint", {}, 3));
    calls.made[0]!.answer({ strategies: [strategy("a"), strategy("b")], asOf: idOf(3) });
    await settle();
    return stop;
  };

  test("a change is shown at once, and the rest of the strategy is loaded", async () => {
    const stop = await open();
    const kept = stores.strategies.get("b");
    source.send(update("a", "traded", 4));
    expect(stores.strategies.get("a")).toMatchObject({ status: "started", position: 1, trades: 0 });
    await settle();
    expect(calls.paths.at(-1)).toBe("GET /api/strategies/a");
    calls.made[1]!.answer(strategy("a", { status: "started", trades: 1 }));
    await settle();
    expect(stores.strategies.get("a")).toMatchObject({ trades: 1 });
    expect(stores.strategies.get("b")).toBe(kept);
    stop();
  });

  test("a busy strategy is loaded once a second, and an answer does not undo a later change", async () => {
    const stop = await open();
    for (let sequence = 4; sequence < 40; sequence++) source.send(update("a", "signal", sequence, { position: sequence }));
    await settle();
    expect(calls.made).toHaveLength(2);
    source.send(update("a", "traded", 50, { position: 50 }));
    calls.made[1]!.answer(strategy("a", { position: 39, trades: 7 }));
    await settle();
    expect(stores.strategies.get("a")).toMatchObject({ position: 50, trades: 7 });
    now += 1_000;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(calls.made).toHaveLength(3);
    stop();
  });

  test("one that is created comes first, one that is deleted goes", async () => {
    const stop = await open();
    source.send(update("c", "created", 4), update("a", "deleted", 5));
    await settle();
    calls.made[1]!.answer(strategy("c"));
    await settle();
    expect(stores.strategies.keys.get()).toEqual(["c", "b"]);
    stop();
  });
});
