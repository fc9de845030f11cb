/** Accounts, the inbox and strategies. */

import { describe, expect, test, vi } from "vitest";
import { CONNECTED, event, idOf, item, notification, order, TIME } from "./events.js";
import { listen } from "./fake-source.js";
import { installStores, ordersPage, settle, snapshot } from "./store-fixture.js";

const fixture = installStores();

describe("accounts", () => {
  test("another user: nothing of the former one is shown, not even while loading or by a late answer", async () => {
    const stop = listen(
      fixture.stores.orders.keys,
      fixture.stores.account,
      fixture.stores.positions.keys,
      fixture.stores.notifications.unread,
    );
    fixture.source.send(
      CONNECTED,
      snapshot(5, order("a")),
      event("account:update", { cash: 1 }),
      event("notification:unread", { unread: 3 }),
    );
    const late = fixture.calls.made.find(({ path }) => path.startsWith("/api/orders"))!;
    fixture.source.signIn("bob");
    expect([
      fixture.stores.orders.keys.get(),
      fixture.stores.orders.get("a"),
      fixture.stores.account.get(),
      fixture.stores.notifications.unread.get(),
    ]).toEqual([[], undefined, null, 0]);
    late.answer(ordersPage(5, [order("a")]));
    await settle();
    expect(fixture.stores.orders.keys.get()).toEqual([]);
    expect((late.options as { signal: AbortSignal }).signal.aborted).toBe(true);
    fixture.source.send(CONNECTED, snapshot(6, order("b")));
    const own = fixture.calls.made.filter(({ path }) => path.startsWith("/api/orders")).at(-1)!;
    expect(own.options).toMatchObject({ user: "bob" });
    own.answer(ordersPage(6, [order("b")]));
    await settle();
    expect(fixture.stores.orders.keys.get()).toEqual(["b"]);
    stop();
  });

  test("signed out: nothing private is loaded, and what is public goes on", async () => {
    fixture.source.signIn(null);
    const stop = listen(fixture.stores.orders.keys, fixture.stores.items.keys);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(fixture.calls.paths).toEqual(["GET /api/v2/items"]);
    fixture.calls.at(0).answer({
      items: [item("i")],
      as_of: idOf(1),
      more: false,
      reset: false,
    });
    await settle();
    fixture.source.signIn("bob");
    expect(fixture.stores.items.keys.get()).toEqual(["i"]);
    stop();
  });
});

describe("the inbox", () => {
  const open = async (...notifications: unknown[]): Promise<() => void> => {
    const stop = listen(fixture.stores.notifications.keys, fixture.stores.notifications.unread);
    fixture.source.send(
      CONNECTED,
      event("notification:unread", { unread: 4, timestamp: TIME }),
      event("checkpoint", {}, 5),
    );
    fixture.calls.at(0).answer({ notifications, unread: 4, as_of: idOf(5) });
    await settle();
    return stop;
  };
  const isRead = (id: string) => fixture.stores.notifications.get(id)?.is_read;

  test("marking as read is shown at once, and confirmed by the answer and the event, in any order", async () => {
    const stop = await open(notification("a"), notification("b"));
    const done = fixture.stores.notifications.markRead(["a"]);
    expect([isRead("a"), isRead("b"), fixture.stores.notifications.unread.get()]).toEqual([
      true,
      false,
      3,
    ]);
    fixture.source.send(event("notification:read", { ids: ["a"], timestamp: TIME }, 6));
    expect([isRead("a"), fixture.stores.notifications.unread.get()]).toEqual([true, 3]);
    fixture.calls.at(1).answer({ read: 1, unread: 3 });
    await done;
    expect([isRead("a"), fixture.stores.notifications.unread.get()]).toEqual([true, 3]);
    stop();
  });

  test("the answer before the event", async () => {
    const stop = await open(notification("a"));
    const done = fixture.stores.notifications.markRead(["a"]);
    fixture.calls.at(1).answer({ read: 1, unread: 3 });
    await done;
    expect([isRead("a"), fixture.stores.notifications.unread.get()]).toEqual([true, 3]);
    fixture.source.send(event("notification:read", { ids: ["a"], timestamp: TIME }, 6));
    expect([isRead("a"), fixture.stores.notifications.unread.get()]).toEqual([true, 3]);
    stop();
  });

  test("a call that fails is taken back", async () => {
    const stop = await open(notification("a"), notification("b"));
    const done = fixture.stores.notifications.markRead(["a", "a", "b"]);
    expect(fixture.stores.notifications.unread.get()).toBe(2);
    fixture.calls.at(1).fail(new Error("away"));
    await expect(done).rejects.toThrow("away");
    expect([isRead("a"), isRead("b"), fixture.stores.notifications.unread.get()]).toEqual([
      false,
      false,
      4,
    ]);
    stop();
  });

  test("reading all: what arrives meanwhile is unread, a failure is taken back", async () => {
    const stop = await open(notification("a"));
    const done = fixture.stores.notifications.markAllRead();
    expect([isRead("a"), fixture.stores.notifications.unread.get()]).toEqual([true, 0]);
    fixture.source.send(event("notification", notification("new"), 6));
    expect([isRead("new"), fixture.stores.notifications.unread.get()]).toEqual([false, 1]);
    fixture.calls.at(1).fail(new Error("away"));
    await expect(done).rejects.toThrow("away");
    expect([isRead("a"), fixture.stores.notifications.unread.get()]).toEqual([false, 5]);
    stop();
  });

  test("what arrives after the event of reading all and before its answer is unread", async () => {
    const stop = await open(notification("a"));
    const done = fixture.stores.notifications.markAllRead();
    const readAll = event("notification:read", { ids: null, timestamp: TIME }, 6);
    fixture.source.send(readAll, event("notification", notification("new"), 7));
    expect([isRead("a"), isRead("new"), fixture.stores.notifications.unread.get()]).toEqual([
      true,
      false,
      1,
    ]);
    fixture.calls.at(1).answer({ read: 4, unread: 1 });
    await done;
    expect(fixture.stores.notifications.unread.get()).toBe(1);
    stop();
  });

  test("what another screen reads is read here, also on pages that the view does not have", async () => {
    const stop = await open(notification("a"), notification("b"));
    fixture.source.send(event("notification:read", { ids: ["b"], timestamp: TIME }, 6));
    expect([isRead("a"), isRead("b"), fixture.stores.notifications.unread.get()]).toEqual([
      false,
      true,
      3,
    ]);
    fixture.source.send(event("notification:read", { ids: null, timestamp: TIME }, 7));
    expect([isRead("a"), fixture.stores.notifications.unread.get()]).toEqual([true, 0]);
    stop();
  });

  test("more ids than a call takes, and none that are read", async () => {
    const stop = await open(notification("read", { is_read: true }));
    fixture.calls.respond = (method) => (method === "POST" ? { read: 1, unread: 1 } : undefined);
    await fixture.stores.notifications.markRead([
      ...Array.from({ length: 250 }, (_, n) => `n${n}`),
      "read",
    ]);
    expect(
      fixture.calls.made.slice(1).map(({ body }) => (body as { ids: string[] }).ids.length),
    ).toEqual([200, 50]);
    await fixture.stores.notifications.markRead(["read"]);
    expect(fixture.calls.made).toHaveLength(3);
    stop();
  });

  test("an arrival is announced where the change says so, once, and not for what was there before", async () => {
    const seen: string[] = [];
    const leave = fixture.stores.notifications.onArrival((one) => seen.push(one.id));
    expect([fixture.source.topics, fixture.source.offers]).toEqual([["notifications"], 1]);
    const stop = await open(notification("old"));
    fixture.source.send(event("notification", notification("elsewhere"), 6));
    fixture.source.announces = true;
    fixture.source.send(
      event("notification", notification("here"), 7),
      event("notification", notification("snapshot")),
    );
    fixture.source.send(event("notification", notification("here"), 7));
    expect(seen).toEqual(["here"]);
    leave();
    leave();
    expect(fixture.source.offers).toBe(0);
    stop();
  });
});

describe("strategies", () => {
  const strategy = (strategyId: string, fields = {}) => ({
    strategyId,
    name: strategyId,
    symbol: "A",
    status: "created",
    position: 0,
    message: null,
    timestamp: TIME,
    trades: 0,
    ...fields,
  });
  const update = (strategyId: string, change: string, sequence: number, fields = {}) =>
    event(
      "strategy:update",
      {
        change,
        strategyId,
        name: strategyId,
        symbol: "A",
        status: "started",
        position: 1,
        timestamp: TIME,
        ...fields,
      },
      sequence,
    );
  const open = async (): Promise<() => void> => {
    const stop = listen(fixture.stores.strategies.keys);
    fixture.source.send(CONNECTED, event("checkpoint", {}, 3));
    fixture.calls.at(0).answer({ strategies: [strategy("a"), strategy("b")], asOf: idOf(3) });
    await settle();
    return stop;
  };

  test("a change is shown at once, and the rest of the strategy is loaded", async () => {
    const stop = await open();
    const kept = fixture.stores.strategies.get("b");
    fixture.source.send(update("a", "traded", 4));
    expect(fixture.stores.strategies.get("a")).toMatchObject({
      status: "started",
      position: 1,
      trades: 0,
    });
    await settle();
    expect(fixture.calls.paths.at(-1)).toBe("GET /api/strategies/a");
    fixture.calls.at(1).answer(strategy("a", { status: "started", trades: 1 }));
    await settle();
    expect(fixture.stores.strategies.get("a")).toMatchObject({ trades: 1 });
    expect(fixture.stores.strategies.get("b")).toBe(kept);
    stop();
  });

  test("a busy strategy is loaded once a second, and an answer does not undo a later change", async () => {
    const stop = await open();
    for (let sequence = 4; sequence < 40; sequence++)
      fixture.source.send(update("a", "signal", sequence, { position: sequence }));
    await settle();
    expect(fixture.calls.made).toHaveLength(2);
    fixture.source.send(update("a", "traded", 50, { position: 50 }));
    fixture.calls.at(1).answer(strategy("a", { position: 39, trades: 7 }));
    await settle();
    expect(fixture.stores.strategies.get("a")).toMatchObject({ position: 50, trades: 7 });
    fixture.now += 1_000;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(fixture.calls.made).toHaveLength(3);
    stop();
  });

  test("one that is created comes first, one that is deleted goes", async () => {
    const stop = await open();
    fixture.source.send(update("c", "created", 4), update("a", "deleted", 5));
    await settle();
    fixture.calls.at(1).answer(strategy("c"));
    await settle();
    expect(fixture.stores.strategies.keys.get()).toEqual(["c", "b"]);
    stop();
  });
});
