/** Demand for topics, prices, and values that a view has: who is notified of what. */

import { describe, expect, test, vi } from "vitest";
import { RELEASE_AFTER_MS } from "../src/stores/demand.js";
import type { Stores } from "../src/stores/index.js";
import { CONNECTED, event, order, position, quote, TIME, tick } from "./events.js";
import { counter, listen } from "./fake-source.js";
import { installStores, snapshot } from "./store-fixture.js";

const fixture = installStores();

describe("demand", () => {
  test("a topic is asked for while there is a listener, and a little longer", () => {
    const stops = [
      fixture.stores.positions.subscribe("A", () => {}),
      fixture.stores.positions.keys.subscribe(() => {}),
    ];
    expect(fixture.source.topics).toEqual(["positions"]);
    for (const stop of stops) stop();
    vi.advanceTimersByTime(RELEASE_AFTER_MS - 1);
    expect(fixture.source.topics).toEqual(["positions"]);
    vi.advanceTimersByTime(1);
    expect(fixture.source.topics).toEqual([]);
  });

  test("who comes back in time keeps the topic", () => {
    fixture.stores.account.subscribe(() => {})();
    vi.advanceTimersByTime(RELEASE_AFTER_MS - 1);
    const stop = fixture.stores.account.subscribe(() => {});
    vi.advanceTimersByTime(RELEASE_AFTER_MS * 3);
    expect(fixture.source.topics).toEqual(["account"]);
    stop();
  });

  test("the same function twice leaves one by one, and a listener that leaves twice leaves once", () => {
    const listener = counter();
    const [one, other] = [
      fixture.stores.account.subscribe(listener),
      fixture.stores.account.subscribe(listener),
    ];
    one();
    one();
    fixture.source.send(event("account:update", { cash: 1 }));
    expect(listener.count).toBe(1);
    other();
  });

  test.each([
    ["status", (all: Stores) => all.orders.status],
    ["hasMore", (all: Stores) => all.orders.hasMore],
    ["keys", (all: Stores) => all.orders.keys],
    ["the other list of the topic", (all: Stores) => all.trades.keys],
  ])("orders are asked for by %s", (_, pick) => {
    const stop = listen(pick(fixture.stores));
    expect(fixture.source.topics).toEqual(["orders"]);
    stop();
  });
});

describe("prices", () => {
  const PRICES = event(
    "price:update",
    { initializing: true, prices: [quote("B", 2), quote("A", 1, { age: 3 })], timestamp: TIME },
    null,
    8_000,
  );

  test("a tick of one symbol calls its listeners only", () => {
    const [a, b, keys] = [counter(), counter(), counter()];
    const stops = [
      fixture.stores.prices.subscribe("A", a),
      fixture.stores.prices.subscribe("B", b),
      fixture.stores.prices.keys.subscribe(keys),
    ];
    fixture.source.send(CONNECTED, PRICES);
    expect([a.count, b.count, keys.count]).toEqual([1, 1, 1]);
    expect(fixture.stores.prices.keys.get()).toEqual(["A", "B"]);
    const kept = [fixture.stores.prices.get("B"), fixture.stores.prices.keys.get()];
    fixture.source.send(tick("A", 5));
    expect([a.count, b.count, keys.count]).toEqual([2, 1, 1]);
    expect(fixture.stores.prices.get("A")?.price).toBe(5);
    expect([fixture.stores.prices.get("B"), fixture.stores.prices.keys.get()]).toEqual(kept);
    expect(fixture.stores.prices.get("B")).toBe(kept[0]);
    for (const stop of stops) stop();
  });

  test("one symbol asks for its topic, keys for all", () => {
    const stop = fixture.stores.prices.subscribe("A", () => {});
    expect(fixture.source.topics).toEqual(["prices:A"]);
    const stopAll = listen(fixture.stores.prices.keys);
    expect(fixture.source.topics).toEqual(["prices", "prices:A"]);
    stop();
    stopAll();
  });

  test("without a listener of all, the keys are those that were asked for", () => {
    const stop = fixture.stores.prices.subscribe("a", () => {});
    fixture.source.send(CONNECTED, PRICES);
    expect(fixture.stores.prices.keys.get()).toEqual(["A"]);
    expect(fixture.stores.prices.get("a")).toBe(fixture.stores.prices.get("A"));
    stop();
  });

  test("the age goes on from what the server said", () => {
    const stop = listen(fixture.stores.prices.keys);
    fixture.source.send(CONNECTED, PRICES);
    fixture.now = 10_500;
    expect([
      fixture.stores.prices.ageSeconds("A"),
      fixture.stores.prices.ageSeconds("B"),
      fixture.stores.prices.ageSeconds("X"),
    ]).toEqual([5.5, 2.5, null]);
    stop();
  });

  test("a price is live while it is quoted, fresh, shown and the connection is current", () => {
    const [listener, stop] = [counter(), fixture.stores.prices.subscribe("A", () => {})];
    const leave = fixture.stores.prices.subscribe("A", listener);
    expect(fixture.stores.prices.isLive("A")).toBe(false);
    fixture.source.send(CONNECTED, PRICES);
    expect([fixture.stores.prices.isLive("A"), fixture.stores.prices.isLive("B")]).toEqual([
      true,
      false,
    ]); // B is not shown
    fixture.source.isCurrent.set(false);
    expect(listener.count).toBe(2);
    expect(fixture.stores.prices.isLive("A")).toBe(false);
    fixture.source.isCurrent.set(true);
    fixture.source.send(event("price:stale", quote("A", 1, { stale: true, age: 4 })));
    expect(fixture.stores.prices.isLive("A")).toBe(false);
    fixture.source.send(tick("A", 1));
    expect(fixture.stores.prices.isLive("A")).toBe(true);
    leave();
    stop();
    vi.advanceTimersByTime(RELEASE_AFTER_MS);
    expect(fixture.stores.prices.isLive("A")).toBe(false);
  });

  test("a symbol that was asked for and has no quote is unknown until it has one", () => {
    const stop = fixture.stores.prices.subscribe("X", () => {});
    fixture.source.send(
      CONNECTED,
      event("price:update", {
        initializing: true,
        prices: [],
        unknown: ["X", "Y"],
        timestamp: TIME,
      }),
    );
    expect(fixture.stores.prices.unknown.get()).toEqual(["X"]);
    fixture.source.send(tick("X", 1));
    expect(fixture.stores.prices.unknown.get()).toEqual([]);
    stop();
  });
});

describe("values", () => {
  test("rows keep their identity, and only what changed is notified", () => {
    const [a, b] = [counter(), counter()];
    const stops = [
      fixture.stores.positions.subscribe("A", a),
      fixture.stores.positions.subscribe("B", b),
    ];
    fixture.source.send(
      CONNECTED,
      event(
        "position:update",
        {
          positions: [position("A"), position("B")],
          totalValue: 1,
          snapshot: true,
          timestamp: TIME,
        },
        1,
      ),
    );
    const kept = fixture.stores.positions.get("B");
    fixture.source.send(
      event(
        "position:update",
        {
          positions: [position("A", { quantity: 2 }), position("B")],
          totalValue: 1,
          timestamp: TIME,
        },
        2,
      ),
    );
    expect([a.count, b.count]).toEqual([2, 1]);
    expect(fixture.stores.positions.get("B")).toBe(kept);
    for (const stop of stops) stop();
  });

  test("held positions come first, closed ones last; open orders are those that can be executed", () => {
    const { positions, openOrderIds } = fixture.stores;
    const stop = listen(positions.keys, openOrderIds);
    const update = (sequence: number, ...changed: unknown[]) =>
      event("position:update", { positions: changed, totalValue: 1, timestamp: TIME }, sequence);
    fixture.source.send(CONNECTED, snapshot(1, order("a"), order("b", { status: "filled" })));
    fixture.source.send(update(2, position("B"), position("C"), position("A", { quantity: 0 })));
    expect([positions.keys.get(), openOrderIds.get()]).toEqual([["B", "C", "A"], ["a"]]);
    const kept = [positions.keys.get(), openOrderIds.get()];
    fixture.source.send(
      event("order:update", order("a", { filledQty: 1 }), 3),
      update(4, position("B", { quantity: 2 })),
    );
    expect([positions.keys.get(), openOrderIds.get()].map((one, n) => one === kept[n])).toEqual([
      true,
      true,
    ]);
    fixture.source.send(
      event("order:update", order("c"), 5),
      update(6, position("B", { quantity: 0 })),
    );
    expect([positions.keys.get(), openOrderIds.get()]).toEqual([
      ["C", "A", "B"],
      ["c", "a"],
    ]);
    stop();
  });

  test("a series of bars is one store, and changes with its own interval only", () => {
    const store = fixture.stores.bars("A", "1m");
    expect(fixture.stores.bars("A", "1m")).toBe(store);
    const stop = listen(store);
    fixture.source.send(event("bar:snapshot", { symbol: "A", interval: "5m", bars: [] }));
    expect(store.get()).toEqual({ bars: [], isLoaded: false });
    fixture.source.send(event("bar:snapshot", { symbol: "A", interval: "1m", bars: [] }));
    expect(store.get().isLoaded).toBe(true);
    stop();
  });

  test("without a listener, get still shows what the view has", () => {
    const stop = listen(fixture.stores.account);
    fixture.source.send(event("account:update", { cash: 1 }));
    stop();
    vi.advanceTimersByTime(RELEASE_AFTER_MS);
    fixture.source.signIn(null);
    expect(fixture.stores.account.get()).toBeNull();
  });
});
