/** The views of prices, bars and lists: what each of their events changes. */

import { describe, expect, test } from "vitest";
import type { StreamEvent } from "../src/source.js";
import { MAX_RECENT } from "../src/views/lists.js";
import { MAX_BARS } from "../src/views/prices.js";
import { apply, event, item, notification, quote, TIME, tick, values, viewOf } from "./events.js";

describe("prices", () => {
  const opened = viewOf(
    "prices",
    event("price:update", {
      initializing: true,
      prices: [quote("A", 1, { age: 2 }), quote("B", 2)],
      unknown: ["X"],
      timestamp: TIME,
    }),
  );

  test("a tick changes one quote, which is current from then on", () => {
    const next = apply("prices", opened, tick("A", 5, 2_000));
    expect(next.state.quotes.get("A")).toEqual({ quote: quote("A", 5), receivedAt: 2_000 });
    expect(next.state.quotes.get("B")).toBe(opened.state.quotes.get("B"));
  });

  test("a symbol with a quote is not unknown any more", () => {
    expect(apply("prices", opened, tick("X", 5)).state.unknown).toEqual([]);
  });

  test("a stale quote of a symbol that is not shown stays out", () => {
    const next = apply(
      "prices",
      opened,
      event("price:stale", quote("A", 1, { age: 4, stale: true })),
      event("price:stale", quote("Z", 1)),
    );
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
    const again = event("price:update", {
      initializing: true,
      prices: [quote("C", 3)],
      timestamp: TIME,
    });
    expect(apply("prices", opened, again).state).toEqual({
      quotes: new Map([["C", { quote: quote("C", 3), receivedAt: 1_000 }]]),
      unknown: [],
    });
  });
});

describe("bars", () => {
  const bar = (minute: number, close: number) => ({
    start: `2026-01-05T15:${String(minute).padStart(2, "0")}:00Z`,
    open: 1,
    high: 1,
    low: 1,
    close,
    volume: 1,
    source: "trade" as const,
    closed: false,
  });
  const update = (minute: number, close: number, fields = {}): StreamEvent =>
    event("bar:update", { symbol: "A:B", interval: "1m", ...bar(minute, close), ...fields });
  const NAME = "bars:A:B:1m";
  const opened = viewOf(
    NAME,
    event("bar:snapshot", { symbol: "A:B", interval: "1m", bars: [bar(1, 1), bar(2, 2)] }),
  );
  const closes = (...events: StreamEvent[]): number[] =>
    apply(NAME, opened, ...events).state.bars.map((one) => one.close);
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
    const many = Array.from({ length: MAX_BARS + 10 }, (_, n) =>
      update(0, n, { start: new Date(4e12 + n * 1e3).toISOString() }),
    );
    expect(closes(...many)).toHaveLength(MAX_BARS);
  });
});

describe("lists", () => {
  test("notifications: arrival, reading some and reading all count", () => {
    const unread = (events: StreamEvent[]): number | null =>
      viewOf("notifications", ...events).state.unread;
    const opened = [event("notification:unread", { unread: 2, timestamp: TIME })];
    const arrived = [
      ...opened,
      event("notification", notification("a"), 5),
      event("notification", notification("b"), 6),
    ];
    expect(unread([])).toBeNull();
    expect(unread(arrived)).toBe(4);
    expect(unread([...arrived, event("notification", notification("b"), 6)])).toBe(4);
    const read = [
      ...arrived,
      event("notification:read", { ids: ["a", "old"], timestamp: TIME }, 7),
    ];
    expect(unread(read)).toBe(2);
    expect(
      values(viewOf("notifications", ...read).state.notifications).map((one) => one.is_read),
    ).toEqual([true, false]);
    const all = [...read, event("notification:read", { ids: null, timestamp: TIME }, 8)];
    expect(viewOf("notifications", ...all).state.unread).toBe(0);
    expect(
      values(viewOf("notifications", ...all).state.notifications).every((one) => one.is_read),
    ).toBe(true);
  });

  test("items: a correction replaces, a retraction removes for good", () => {
    const view = viewOf(
      "items",
      event("new_item", item("a"), 1),
      event("new_item", item("b"), 2),
      event("item:corrected", item("a", { title: "new" }), 3),
      event("item:retracted", { id: "b", reason: "" }, 4),
    );
    expect(values(view.state)).toEqual([item("a", { title: "new" })]);
    expect(values(apply("items", view, event("new_item", item("b"))).state)).toHaveLength(1);
  });

  test("alert rules: a change replaces and a deletion removes", () => {
    const rule = { ruleId: "r", kind: "price_above", level: "info", armed: true, timestamp: TIME };
    const view = viewOf(
      "alert-rules",
      event("rule:update", { ...rule, change: "created" }, 1),
      event("rule:update", { ...rule, armed: false, change: "triggered", alertId: "a" }, 2),
    );
    expect(values(view.state)).toEqual([{ ...rule, armed: false }]);
    expect(
      values(
        apply("alert-rules", view, event("rule:update", { ...rule, change: "deleted" }, 3)).state,
      ),
    ).toEqual([]);
  });

  test("configurations: the last one that was set up counts", () => {
    const update = (change: string, sequence: number, name: string): StreamEvent =>
      event("configuration:update", { id: "c", name, change }, sequence);
    const view = viewOf("configurations", update("created", 1, "a"), update("changed", 2, "b"));
    expect(values(view.state)).toEqual([{ id: "c", name: "b" }]);
    expect(values(apply("configurations", view, update("deleted", 3, "b")).state)).toEqual([]);
  });

  test("agents: what everybody may see has no detail", () => {
    const view = viewOf(
      "agents",
      event("agent:status", {
        service: "orders",
        instance: "1",
        state: "running",
        timestamp: TIME,
      }),
    );
    expect([...view.state.byKey]).toEqual([
      ["orders/1", expect.objectContaining({ value: expect.objectContaining({ detail: null }) })],
    ]);
  });

  test.each(["ai-decisions", "alerts", "strategies", "items", "notifications"] as const)(
    "%s are bounded",
    (name) => {
      const types = {
        "ai-decisions": "ai:decision",
        alerts: "alert:new",
        strategies: "strategy:update",
        items: "new_item",
        notifications: "notification",
      };
      const events = Array.from({ length: MAX_RECENT + 9 }, (_, n) =>
        event(
          types[name],
          { id: `${n}`, decisionId: `${n}`, alertId: `${n}`, strategyId: `${n}` },
          n + 1,
        ),
      );
      const { state } = viewOf(name, ...events);
      expect(("byKey" in state ? state : state.notifications).byKey.size).toBe(MAX_RECENT);
    },
  );
});
