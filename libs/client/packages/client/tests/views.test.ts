/** Views of topics: what each event changes, and what stays the same object. */

import { describe, expect, test } from "vitest";
import type { StreamEvent } from "../src/source.js";
import { advanceTo, applyEvents, concerns, emptyView, isLossless, isPrivate, UnknownTopic, viewName } from "../src/topics.js";
import { MAX_RECENT } from "../src/views/lists.js";
import { MAX_CLOSED_ORDERS, MAX_TRADES } from "../src/views/orders.js";
import { MAX_BARS } from "../src/views/prices.js";
import { noRows, type Rows, RowsDraft } from "../src/views/rows.js";
import { apply, event, idOf, item, notification, order, position, quote, tick, TIME, trade, viewOf } from "./events.js";

function values<V>(rows: Rows<V>): V[] {
  return [...rows.byKey.values()].map((row) => row.value);
}

const snapshot = (sequence: number, ...orders: unknown[]): StreamEvent =>
  event("order:update", { snapshot: true, orders, timestamp: TIME }, sequence);

describe("rows", () => {
  const put = (rows: Rows<number>, ...args: [string, number, string]): Rows<number> => {
    const draft = new RowsDraft(rows);
    draft.put(...args, args[2]);
    return draft.finish();
  };
  const CASES: [string, string, string, number][] = [
    ["a later id replaces", idOf(1), idOf(2), 2],
    ["an earlier id does not", idOf(2), idOf(1), 1],
    ["sequences are numbers, not text", idOf(9), idOf(10), 2],
    ["the same id replaces", idOf(1), idOf(1), 2],
    ["a value without an id replaces", idOf(2), "", 2],
    ["an id replaces a value without one", "", idOf(1), 2],
    ["ids of two epochs have no order", "e1-9", "e2-1", 2],
  ];
  test.each(CASES)("%s", (_, first, second, expected) => {
    expect(put(put(noRows(), "k", 1, first), "k", 2, second).byKey.get("k")?.value).toBe(expected);
  });

  test("a value without an id keeps the id of its row, so that an older event stays out", () => {
    const rows = put(put(put(noRows(), "k", 1, idOf(5)), "k", 2, ""), "k", 3, idOf(4));
    expect(rows.byKey.get("k")).toEqual({ value: 2, at: idOf(5), since: idOf(5) });
  });

  test.each([
    [idOf(4), false],
    [idOf(5), false],
    ["", false],
    [idOf(6), true],
  ])("a row that was removed with 5 comes back as of %s: %s", (at, comes) => {
    const draft = new RowsDraft<number>(noRows());
    draft.remove("k", idOf(5));
    expect(draft.put("k", 1, at, at)).toBe(comes);
  });

  test("nothing changed is the same object", () => {
    const rows = put(noRows(), "k", 1, idOf(1));
    expect(put(rows, "k", 1, idOf(1))).toBe(rows);
    expect(put(rows, "k", 9, idOf(0))).toBe(rows);
  });
});

describe("positions of views", () => {
  test.each([
    ["an event that is not later", [event("order:update", order("a", { qty: 99 }), 5)]],
    ["an event that is repeated", [event("order:update", order("a", { qty: 99 }), 7)]],
    ["a snapshot that is not later", [snapshot(6)]],
  ])("%s changes nothing", (_, events) => {
    const view = viewOf("orders", snapshot(5, order("a")), event("order:update", order("b"), 7));
    expect(apply("orders", view, ...events)).toBe(view);
  });

  test("events of other topics and checkpoints move the position, and keep the state", () => {
    const view = viewOf("orders", snapshot(5, order("a")));
    const next = apply("orders", view, event("alert:new", {}, 6), event("checkpoint", {}, 8));
    expect(next.position).toBe(idOf(8));
    expect(next.state).toBe(view.state);
  });

  test("advanceTo goes forward only", () => {
    const view = viewOf("orders", snapshot(5));
    expect(advanceTo(view, idOf(4))).toBe(view);
    expect(advanceTo(view, idOf(6)).position).toBe(idOf(6));
  });

  test("after a reset, earlier rows are gone and ids of another epoch are taken", () => {
    const view = viewOf("orders", snapshot(5, order("a")));
    const reset = event("stream:reset", { reason: "epoch", requestedId: "", firstAvailableId: "" });
    const next = apply("orders", view, reset, { ...snapshot(1, order("b")), id: "e2-1" });
    expect(values(next.state.orders).map((one) => one.orderId)).toEqual(["b"]);
    expect(next).toMatchObject({ position: "e2-1", resets: 1, phase: "complete" });
  });

  test.each(["prices", "account", "item-metrics", "connections", "bars:SPY:1m"])("a reset keeps the values of %s", (name) => {
    const view = { ...emptyView(name), state: { quotes: new Map(), unknown: ["X"] } };
    expect(applyEvents(name, view, [event("stream:reset", {}, 3)]).state).toBe(view.state);
  });
});

describe("phases", () => {
  const alert = event("alert:new", { alertId: "a" });
  const updated = (...topics: string[]): StreamEvent => event("stream:updated", { topics, symbols: null, maxRate: 10 });
  const CASES: [string, string, StreamEvent[], string][] = [
    ["a view is new before a connection", "alerts", [], "new"],
    ["recent events have no ids", "alerts", [event("connected", {}), alert], "opening"],
    ["the id ends what a stream opens with", "alerts", [event("connected", {}), alert, event("checkpoint", {}, 4)], "complete"],
    ["an id on a stream to which a topic is being added ends nothing", "alerts", [event("checkpoint", {}, 4)], "new"],
    ["stream:updated ends an addition", "alerts", [alert, updated("alerts")], "complete"],
    ["stream:updated of other topics does not", "alerts", [alert, updated("orders")], "new"],
    ["prices:SPY is part of the prices", "prices", [updated("prices:SPY")], "complete"],
    ["bars of another interval are another topic", "bars:SPY:1m", [updated("bars:SPY:5m")], "new"],
    ["a snapshot is all that there is", "orders", [snapshot(1)], "complete"],
    ["one order is not", "orders", [event("order:update", order("a"), 1)], "new"],
  ];
  test.each(CASES)("%s", (_, name, events, phase) => {
    expect(applyEvents(name, emptyView(name), events).phase).toBe(phase);
  });
});

describe("orders", () => {
  test("a fill changes its order, and only the fields of orders stay", () => {
    const filled = order("a", { status: "filled", filledQty: 10, filledAvgPrice: 99 });
    const fill = { ...filled, fillQty: 10, fillPrice: 99, tradeId: "t", fillFee: 1, executionId: "x", exceptions: [] };
    const before = viewOf("orders", snapshot(1, order("a"), order("b")));
    const after = apply("orders", before, event("order:fill", fill, 2));
    expect(after.state.orders.byKey.get("a")?.value).toEqual(filled);
    expect(after.state.orders.byKey.get("b")).toBe(before.state.orders.byKey.get("b"));
    expect(after.state.trades).toBe(before.state.trades);
  });

  test("a snapshot removes what it does not have, and keeps the objects that are the same", () => {
    const before = viewOf("orders", snapshot(1, order("a"), order("b")));
    const after = apply("orders", before, snapshot(2, order("b"), order("c")));
    expect([...after.state.orders.byKey.keys()]).toEqual(["b", "c"]);
    expect(after.state.orders.byKey.get("b")?.value).toBe(before.state.orders.byKey.get("b")?.value);
  });

  test("closed orders are bounded, open ones are not", () => {
    const events = Array.from({ length: 600 }, (_, n) =>
      event("order:update", order(`o${n}`, { status: n % 2 === 0 ? "new" : "filled" }), n + 1));
    const rows = values(viewOf("orders", ...events).state.orders);
    expect(rows.filter((one) => one.status === "new")).toHaveLength(300);
    expect(rows.filter((one) => one.status === "filled")).toHaveLength(MAX_CLOSED_ORDERS);
    expect(rows.at(-1)?.orderId).toBe("o599");
  });

  test("a correction changes its trade, which keeps its time and its venue's time", () => {
    const original = trade("t", { qty: 5, price: 100, fee: 1, venueTime: "v", timestamp: "2026-01-05T14:00:00Z" });
    const correction = { ...trade("t", { qty: 0, price: 100 }), before: { qty: 5, price: 100, fee: 1 }, number: 1 };
    const view = viewOf("orders", event("trade:new", original, 1), event("trade:corrected", correction, 2));
    expect(values(view.state.trades)).toEqual([
      { ...trade("t", { qty: 0, venueTime: "v", timestamp: "2026-01-05T14:00:00Z" }), before: { qty: 5, price: 100, fee: 1 } },
    ]);
  });

  test("executions are bounded", () => {
    const events = Array.from({ length: MAX_TRADES + 5 }, (_, n) => event("trade:new", trade(`t${n}`), n + 1));
    expect(values(viewOf("orders", ...events).state.trades)[0]?.tradeId).toBe("t5");
  });
});

describe("positions", () => {
  const update = (sequence: number | null, ...positions: unknown[]): StreamEvent =>
    event("position:update", { positions, totalValue: 7, timestamp: TIME }, sequence);
  const opened = viewOf("positions",
    event("position:update", { positions: [position("A"), position("B")], totalValue: 5, timestamp: TIME, snapshot: true }, 3));

  test("a valuation has no id, and an event that was before it stays out", () => {
    const valued = apply("positions", opened, update(null, position("A", { currentPrice: 101 })));
    expect(valued.state.positions.byKey.get("A")).toMatchObject({ value: { currentPrice: 101 }, at: idOf(3) });
    expect(valued.state.positions.byKey.get("B")).toBe(opened.state.positions.byKey.get("B"));
    expect(apply("positions", valued, update(2, position("A", { quantity: 9 })))).toBe(valued);
  });

  test("a stale price makes an open position stale, and the next valuation ends it", () => {
    const stale = apply("positions", opened, event("price:stale", quote("A", 1, { stale: true })), event("price:stale", quote("X", 1)));
    expect(stale.state.positions.byKey.get("A")?.value.stale).toBe(true);
    expect([...stale.state.positions.byKey.keys()]).toEqual(["A", "B"]);
    expect(apply("positions", stale, update(null, position("A"))).state.positions.byKey.get("A")?.value.stale).toBeUndefined();
  });

  test("a closed position has no price that could be stale", () => {
    const closed = apply("positions", opened, update(4, position("A", { quantity: 0 })));
    expect(apply("positions", closed, event("price:stale", quote("A", 1)))).toBe(closed);
  });
});

describe("prices", () => {
  const opened = viewOf("prices",
    event("price:update", { initializing: true, prices: [quote("A", 1, { age: 2 }), quote("B", 2)], unknown: ["X"], timestamp: TIME }));

  test("a tick changes one quote, which is current from then on", () => {
    const next = apply("prices", opened, tick("A", 5, 2_000));
    expect(next.state.quotes.get("A")).toEqual({ quote: quote("A", 5), receivedAt: 2_000 });
    expect(next.state.quotes.get("B")).toBe(opened.state.quotes.get("B"));
  });

  test("a symbol with a quote is not unknown any more", () => {
    expect(apply("prices", opened, tick("X", 5)).state.unknown).toEqual([]);
  });

  test("a stale quote of a symbol that is not shown stays out", () => {
    const next = apply("prices", opened, event("price:stale", quote("A", 1, { age: 4, stale: true })), event("price:stale", quote("Z", 1)));
    expect([...next.state.quotes.keys()]).toEqual(["A", "B"]);
    expect(next.state.quotes.get("A")?.quote).toMatchObject({ age: 4, stale: true });
  });

  test.each([
    [["prices"], null, ["A", "B"]],
    [["prices:B"], ["B"], ["B"]],
    [["orders"], null, []],
    [["prices:C", "prices:A"], ["C", "A"], ["A"]],
  ])("what the stream does not show any more is forgotten: %j", (topics, symbols, kept) => {
    const updated = event("stream:updated", { topics, symbols, maxRate: 10 });
    expect([...apply("prices", opened, updated).state.quotes.keys()]).toEqual(kept);
  });

  test("the first message of the next connection has all that it shows", () => {
    const again = event("price:update", { initializing: true, prices: [quote("C", 3)], timestamp: TIME });
    expect(apply("prices", opened, again).state).toEqual({ quotes: new Map([["C", { quote: quote("C", 3), receivedAt: 1_000 }]]), unknown: [] });
  });
});

describe("bars", () => {
  const bar = (minute: number, close: number) => ({
    start: `2026-01-05T15:${String(minute).padStart(2, "0")}:00Z`, open: 1, high: 1, low: 1, close, volume: 1,
    source: "trade" as const, closed: false,
  });
  const update = (minute: number, close: number, fields = {}): StreamEvent =>
    event("bar:update", { symbol: "A:B", interval: "1m", ...bar(minute, close), ...fields });
  const NAME = "bars:A:B:1m";
  const opened = viewOf(NAME, event("bar:snapshot", { symbol: "A:B", interval: "1m", bars: [bar(1, 1), bar(2, 2)] }));
  const closes = (...events: StreamEvent[]): number[] => apply(NAME, opened, ...events).state.bars.map((one) => one.close);
  test.each([
    ["the open bar", [update(2, 9)], [1, 9]],
    ["the next bar", [update(3, 3)], [1, 2, 3]],
    ["a late correction", [update(1, 9)], [9, 2]],
    ["a bar before the snapshot", [update(0, 9)], [1, 2]],
    ["another interval", [update(2, 9, { interval: "5m" })], [1, 2]],
    ["another symbol", [update(2, 9, { symbol: "A" })], [1, 2]],
  ])("%s", (_, events, expected) => {
    expect(closes(...events)).toEqual(expected);
  });

  test("an update before the snapshot is left out, and the series is bounded", () => {
    expect(viewOf(NAME, update(1, 1)).state).toEqual({ bars: [], isLoaded: false });
    const many = Array.from({ length: MAX_BARS + 10 }, (_, n) => update(0, n, { start: new Date(4e12 + n * 1e3).toISOString() }));
    expect(closes(...many)).toHaveLength(MAX_BARS);
  });
});

describe("lists", () => {
  test("notifications: arrival, reading some and reading all count", () => {
    const unread = (events: StreamEvent[]): number | null => viewOf("notifications", ...events).state.unread;
    const opened = [event("notification:unread", { unread: 2, timestamp: TIME })];
    const arrived = [...opened, event("notification", notification("a"), 5), event("notification", notification("b"), 6)];
    expect(unread([])).toBeNull();
    expect(unread(arrived)).toBe(4);
    expect(unread([...arrived, event("notification", notification("b"), 6)])).toBe(4);
    const read = [...arrived, event("notification:read", { ids: ["a", "old"], timestamp: TIME }, 7)];
    expect(unread(read)).toBe(2);
    expect(values(viewOf("notifications", ...read).state.notifications).map((one) => one.is_read)).toEqual([true, false]);
    const all = [...read, event("notification:read", { ids: null, timestamp: TIME }, 8)];
    expect(viewOf("notifications", ...all).state.unread).toBe(0);
    expect(values(viewOf("notifications", ...all).state.notifications).every((one) => one.is_read)).toBe(true);
  });

  test("items: a correction replaces, a retraction removes for good", () => {
    const view = viewOf("items", event("new_item", item("a"), 1), event("new_item", item("b"), 2),
      event("item:corrected", item("a", { title: "new" }), 3), event("item:retracted", { id: "b", reason: "" }, 4));
    expect(values(view.state)).toEqual([item("a", { title: "new" })]);
    expect(values(apply("items", view, event("new_item", item("b"))).state)).toHaveLength(1);
  });

  test("alert rules: a change replaces and a deletion removes", () => {
    const rule = { ruleId: "r", kind: "price_above", level: "info", armed: true, timestamp: TIME };
    const view = viewOf("alert-rules", event("rule:update", { ...rule, change: "created" }, 1),
      event("rule:update", { ...rule, armed: false, change: "triggered", alertId: "a" }, 2));
    expect(values(view.state)).toEqual([{ ...rule, armed: false }]);
    expect(values(apply("alert-rules", view, event("rule:update", { ...rule, change: "deleted" }, 3)).state)).toEqual([]);
  });

  test("agents: what everybody may see has no detail", () => {
    const view = viewOf("agents", event("agent:status", { service: "orders", instance: "1", state: "running", timestamp: TIME }));
    expect([...view.state.byKey]).toEqual([["orders/1", expect.objectContaining({ value: expect.objectContaining({ detail: null }) })]]);
  });

  test.each(["ai-decisions", "alerts", "strategies", "items", "notifications"] as const)("%s are bounded", (name) => {
    const types = { "ai-decisions": "ai:decision", alerts: "alert:new", strategies: "strategy:update", items: "new_item", notifications: "notification" };
    const events = Array.from({ length: MAX_RECENT + 9 }, (_, n) =>
      event(types[name], { id: `${n}`, decisionId: `${n}`, alertId: `${n}`, strategyId: `${n}` }, n + 1));
    const { state } = viewOf(name, ...events);
    expect(("byKey" in state ? state : state.notifications).byKey.size).toBe(MAX_RECENT);
  });
});

describe("names", () => {
  test.each([
    ["prices:SPY", "prices", false, false],
    ["prices", "prices", false, false],
    ["bars:SPY:1m", "bars:SPY:1m", false, false],
    ["orders", "orders", true, true],
    ["account", "account", true, false],
    ["agents", "agents", true, true],
    ["items", "items", false, true],
    ["alert-rules", "alert-rules", true, true],
  ])("%s", (topic, name, needsSession, hasIds) => {
    expect([viewName(topic), isPrivate(topic), isLossless(topic)]).toEqual([name, needsSession, hasIds]);
  });

  test.each(["order", "bars:SPY", "prices:", "bars::1m", "toString", ""])("%j is no view", (name) => {
    expect(() => emptyView(name)).toThrow(UnknownTopic);
  });

  test("a view is concerned by its own events and by those about the stream", () => {
    const names = ["order:fill", "price:update", "stream:reset", "checkpoint"].filter((type) => concerns("orders", event(type, {})));
    expect(names).toEqual(["order:fill", "stream:reset", "checkpoint"]);
  });
});
