/** Lists: how pages and the stream are joined, and what failures and resets do. */

import { describe, expect, test, vi } from "vitest";
import { ApiError } from "../src/rest.js";
import { MAX_ARRIVALS, MAX_ROWS } from "../src/stores/list.js";
import { MAX_TRADES } from "../src/views/orders.js";
import { CONNECTED, event, idOf, item, order, trade } from "./events.js";
import { listen } from "./fake-source.js";
import { installStores, ordersPage, settle, snapshot } from "./store-fixture.js";

const fixture = installStores();

describe("lists", () => {
  test("the first page is loaded when the view is complete, and older ones by cursor", async () => {
    const stop = listen(fixture.stores.orders.keys);
    fixture.source.send(CONNECTED);
    expect(fixture.calls.paths).toEqual([]);
    fixture.source.send(snapshot(5, order("old"), order("a")));
    expect(fixture.stores.orders.keys.get()).toEqual(["a", "old"]);
    expect(fixture.calls.paths).toEqual(["GET /api/orders?limit=200"]);
    fixture.calls.at(0).answer(ordersPage(6, [order("b"), order("a")], "c/1"));
    await settle();
    expect(fixture.stores.orders.keys.get()).toEqual(["b", "a", "old"]);
    expect([fixture.stores.orders.hasMore.get(), fixture.stores.orders.status.get().name]).toEqual([
      true,
      "ready",
    ]);
    fixture.source.send(event("order:update", order("new"), 7));
    expect(fixture.stores.orders.keys.get()).toEqual(["new", "b", "a", "old"]);
    const more = fixture.stores.orders.loadMore();
    expect(fixture.calls.paths.at(-1)).toBe("GET /api/orders?limit=200&cursor=c%2F1");
    fixture.calls.at(1).answer(ordersPage(8, [order("older"), order("old")]));
    await more;
    expect(fixture.stores.orders.keys.get()).toEqual(["new", "b", "a", "older", "old"]);
    expect(fixture.stores.orders.hasMore.get()).toBe(false);
    stop();
  });

  test("what the stream says later than the page wins, and what it says earlier does not", async () => {
    const stop = listen(fixture.stores.orders.keys);
    fixture.source.send(CONNECTED, snapshot(5, order("a"), order("b")));
    fixture.source.send(
      event("order:update", order("a", { filledQty: 9, status: "filled" }), 9),
      event("order:update", order("b", { filledQty: 7 }), 7),
    );
    fixture.calls
      .at(0)
      .answer(ordersPage(8, [order("a", { filledQty: 8 }), order("b", { filledQty: 8 })]));
    await settle();
    expect([
      fixture.stores.orders.get("a")?.filledQty,
      fixture.stores.orders.get("b")?.filledQty,
    ]).toEqual([9, 8]);
    stop();
  });

  test("a page that is older than the view is asked for again", async () => {
    const stop = listen(fixture.stores.trades.keys);
    fixture.source.send(CONNECTED, snapshot(9));
    fixture.calls.at(0).answer({ trades: [], asOf: idOf(7) });
    await vi.advanceTimersByTimeAsync(200);
    expect(fixture.calls.made).toHaveLength(2);
    fixture.calls.at(1).answer({ trades: [trade("t8")], asOf: idOf(9) });
    await settle();
    expect(fixture.stores.trades.keys.get()).toEqual(["t8"]);
    stop();
  });

  test("executions of before a reload come from the page, and corrections change their rows", async () => {
    const stop = listen(fixture.stores.trades.keys);
    fixture.source.send(CONNECTED, snapshot(9));
    const before = { qty: 5, price: 100, fee: 0 };
    fixture.calls.at(0).answer({
      trades: [
        trade("t2"),
        trade("t1", { qty: 4, before, timestamp: "2026-01-05T16:00:00Z" }),
        trade("t1", { qty: 5, venueTime: "v" }),
      ],
      asOf: idOf(9),
    });
    await settle();
    expect(fixture.stores.trades.keys.get()).toEqual(["t2", "t1"]);
    expect(fixture.stores.trades.get("t1")).toEqual(
      trade("t1", { qty: 4, before, venueTime: "v" }),
    );
    fixture.source.send(
      event("trade:corrected", { ...trade("t2", { qty: 0 }), before, number: 1 }, 10),
      event("trade:new", trade("t3"), 11),
    );
    expect(fixture.stores.trades.keys.get()).toEqual(["t3", "t2", "t1"]);
    expect(fixture.stores.trades.get("t2")).toMatchObject({ qty: 0, before });
    stop();
  });

  test("a failure is a status, what was loaded stays, and the first page is tried again", async () => {
    const stop = listen(fixture.stores.alerts.keys);
    fixture.source.send(
      CONNECTED,
      event("alert:new", { alertId: "a" }),
      event("checkpoint", {}, 3),
    );
    fixture.calls.at(0).fail(new Error("away"));
    await settle();
    expect(fixture.stores.alerts.status.get()).toEqual({
      name: "failed",
      error: new Error("away"),
    });
    expect(fixture.stores.alerts.keys.get()).toEqual(["a"]);
    await vi.advanceTimersByTimeAsync(1_000);
    fixture.calls.at(1).answer({ alerts: [{ alertId: "b" }, { alertId: "a" }], asOf: idOf(3) });
    await settle();
    expect([fixture.stores.alerts.status.get().name, fixture.stores.alerts.keys.get()]).toEqual([
      "ready",
      ["b", "a"],
    ]);
    stop();
  });

  test("a call that the server refuses is not tried again", async () => {
    const stop = listen(fixture.stores.alerts.keys);
    fixture.source.send(CONNECTED, event("checkpoint", {}, 3));
    fixture.calls
      .at(0)
      .fail(new ApiError({ error: "Forbidden", message: "no", statusCode: 403 }, null));
    await vi.advanceTimersByTimeAsync(120_000);
    expect([fixture.calls.made.length, fixture.stores.alerts.status.get().name]).toEqual([
      1,
      "failed",
    ]);
    stop();
  });

  test("without a stream the page is loaded after a while, and again when the view is complete", async () => {
    const stop = listen(fixture.stores.alerts.keys);
    await vi.advanceTimersByTimeAsync(2_000);
    fixture.calls.at(0).answer({ alerts: [{ alertId: "a" }], asOf: idOf(3) });
    await settle();
    expect(fixture.stores.alerts.keys.get()).toEqual(["a"]);
    fixture.source.send(CONNECTED, event("checkpoint", {}, 5));
    fixture.calls.at(1).answer({ alerts: [{ alertId: "b" }, { alertId: "a" }], asOf: idOf(5) });
    await settle();
    expect([fixture.calls.made.length, fixture.stores.alerts.keys.get()]).toEqual([2, ["b", "a"]]);
    stop();
  });

  test("a reset loads anew, and rows that are gone leave", async () => {
    const stop = listen(fixture.stores.orders.keys);
    fixture.source.send(CONNECTED, snapshot(5, order("a")));
    fixture.calls.at(0).answer(ordersPage(5, [order("a"), order("b")], "c"));
    await settle();
    const kept = fixture.stores.orders.get("b");
    fixture.source.send(event("stream:reset", { reason: "trimmed" }), snapshot(50, order("c")));
    expect(fixture.stores.orders.get("b")).toBe(kept); // until the answer
    fixture.calls.at(1).answer(ordersPage(50, [order("c"), order("b")]));
    await settle();
    expect([fixture.stores.orders.keys.get(), fixture.stores.orders.hasMore.get()]).toEqual([
      ["c", "b"],
      false,
    ]);
    expect(fixture.stores.orders.get("b")).toBe(kept);
    stop();
  });

  test("the view of another hub loads anew", async () => {
    const stop = listen(fixture.stores.orders.keys);
    fixture.source.send(CONNECTED, snapshot(5, order("a")));
    fixture.calls.at(0).answer(ordersPage(5, [order("a")]));
    await settle();
    fixture.source.replace("orders", { ...fixture.source.view("orders"), position: idOf(8) });
    expect(fixture.calls.made).toHaveLength(2);
    fixture.calls.at(1).answer(ordersPage(8, [order("a")]));
    stop();
    await settle();
  });

  test("after a reset, loadMore loads the first page that could not be loaded", async () => {
    const stop = listen(fixture.stores.orders.keys);
    fixture.source.send(CONNECTED, snapshot(5, order("a")));
    fixture.calls.at(0).answer(ordersPage(5, [order("a")], "old"));
    await settle();
    fixture.source.send(event("stream:reset", { reason: "trimmed" }), snapshot(50, order("b")));
    fixture.calls.at(1).fail(new Error("away"));
    await settle();
    const more = fixture.stores.orders.loadMore();
    expect(fixture.calls.paths.at(-1)).toBe("GET /api/orders?limit=200");
    fixture.calls.at(2).answer(ordersPage(50, [order("b")]));
    await more;
    expect(fixture.stores.orders.keys.get()).toEqual(["b"]);
    stop();
  });

  test("a cursor of another journal starts the list anew", async () => {
    const stop = listen(fixture.stores.orders.keys);
    fixture.source.send(CONNECTED, snapshot(5));
    fixture.calls.at(0).answer(ordersPage(5, [order("a")], "c"));
    await settle();
    const more = fixture.stores.orders.loadMore();
    fixture.calls
      .at(1)
      .fail(new ApiError({ error: "x", message: "x", statusCode: 422, path: "cursor" }, null));
    await settle();
    fixture.calls.at(2).answer(ordersPage(6, [order("z")]));
    await more;
    expect(fixture.stores.orders.keys.get()).toEqual(["z"]);
    stop();
  });

  test("loadMore rejects with its error and when it is aborted, and asks once for two callers", async () => {
    const stop = listen(fixture.stores.orders.keys);
    fixture.source.send(CONNECTED, snapshot(5));
    fixture.calls.at(0).answer(ordersPage(5, [order("a")], "c"));
    await settle();
    const abort = new AbortController();
    const [one, other] = [
      fixture.stores.orders.loadMore({ signal: abort.signal }),
      fixture.stores.orders.loadMore(),
    ];
    const errors = Promise.allSettled([one, other]);
    abort.abort(new Error("left"));
    fixture.calls.at(1).fail(new Error("away"));
    expect((await errors).map((each) => (each as PromiseRejectedResult).reason.message)).toEqual([
      "left",
      "away",
    ]);
    expect(fixture.calls.made).toHaveLength(2);
    stop();
  });

  test("an item that was retracted is not brought back by an older page", async () => {
    const stop = listen(fixture.stores.items.keys);
    fixture.source.send(CONNECTED, event("checkpoint", {}, 3));
    fixture.source.send(event("item:retracted", { id: "i", reason: "" }, 9));
    fixture.calls.at(0).answer({
      items: [item("i"), item("j")],
      as_of: idOf(8),
      more: false,
      reset: false,
    });
    await settle();
    expect(fixture.stores.items.keys.get()).toEqual(["j"]);
    stop();
  });

  test("a list that has grown without end starts anew from its first page", async () => {
    const stop = listen(fixture.stores.trades.keys);
    fixture.source.send(CONNECTED, snapshot(1));
    const rows = Array.from({ length: MAX_ROWS - MAX_ARRIVALS }, (_, n) => trade(`old${n}`));
    fixture.calls.at(0).answer({ trades: rows, asOf: idOf(1), next: "c" });
    await settle();
    const arrive = (from: number, count: number): void => {
      const events = Array.from({ length: count }, (_, n) =>
        event("trade:new", trade(`t${from + n}`), from + n),
      );
      for (let n = 0; n < count; n += 100) fixture.source.send(...events.slice(n, n + 100));
    };
    arrive(2, MAX_ARRIVALS);
    expect(fixture.calls.made).toHaveLength(1);
    arrive(2 + MAX_ARRIVALS, 1);
    expect(fixture.calls.made).toHaveLength(2);
    fixture.calls.at(1).answer({ trades: [trade("t1002")], asOf: idOf(1_002), next: "c" });
    await settle();
    expect(fixture.stores.trades.keys.get()).toHaveLength(MAX_TRADES); // those of the view
    expect(fixture.stores.trades.keys.get()[0]).toBe("t1002");
    stop();
  });

  test("rules are in the order in which they were made", async () => {
    const stop = listen(fixture.stores.alertRules.keys);
    fixture.source.send(CONNECTED, event("checkpoint", {}, 3));
    fixture.calls.at(0).answer({ rules: [{ ruleId: "a" }, { ruleId: "b" }], asOf: idOf(3) });
    await settle();
    fixture.source.send(event("rule:update", { ruleId: "c", change: "created" }, 4));
    expect(fixture.stores.alertRules.keys.get()).toEqual(["a", "b", "c"]);
    stop();
  });

  test("decisions have no pages: the newest first, ready when the view is complete", () => {
    const stop = listen(fixture.stores.decisions.keys);
    const decision = (decisionId: string) => event("ai:decision", { decisionId });
    fixture.source.send(CONNECTED, decision("a"), decision("b"));
    expect(fixture.stores.decisions.status.get().name).toBe("loading");
    fixture.source.send(event("checkpoint", {}, 3));
    expect([
      fixture.stores.decisions.status.get().name,
      fixture.stores.decisions.keys.get(),
      fixture.calls.made,
    ]).toEqual(["ready", ["b", "a"], []]);
    stop();
  });
});
