/** Views in general: ids, phases, resets, and what stays the same object. */

import { describe, expect, test } from "vitest";
import type { StreamEvent } from "../src/source.js";
import {
  advanceTo,
  applyEvents,
  concerns,
  dependsOnUser,
  emptyView,
  isLossless,
  isPrivate,
  UnknownTopic,
  viewName,
} from "../src/topics.js";
import { noRows, type Rows, RowsDraft } from "../src/views/rows.js";
import { apply, event, idOf, order, values, viewOf } from "./events.js";
import { snapshot } from "./store-fixture.js";

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

  test.each(["prices", "account", "item-metrics", "connections", "bars:SPY:1m"])(
    "a reset keeps the values of %s",
    (name) => {
      const view = { ...emptyView(name), state: { quotes: new Map(), unknown: ["X"] } };
      expect(applyEvents(name, view, [event("stream:reset", {}, 3)]).state).toBe(view.state);
    },
  );
});

describe("phases", () => {
  const alert = event("alert:new", { alertId: "a" });
  const updated = (...topics: string[]): StreamEvent =>
    event("stream:updated", { topics, symbols: null, maxRate: 10 });
  const CASES: [string, string, StreamEvent[], string][] = [
    ["a view is new before a connection", "alerts", [], "new"],
    ["recent events have no ids", "alerts", [event("connected", {}), alert], "opening"],
    [
      "the id ends what a stream opens with",
      "alerts",
      [event("connected", {}), alert, event("checkpoint", {}, 4)],
      "complete",
    ],
    [
      "an id on a stream to which a topic is being added ends nothing",
      "alerts",
      [event("checkpoint", {}, 4)],
      "new",
    ],
    [
      "the hub says when a stream has opened",
      "agents",
      [event("connected", {}), event("stream:live", null)],
      "complete",
    ],
    [
      "which is not said of a topic that is being added",
      "agents",
      [event("stream:live", null)],
      "new",
    ],
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

describe("names", () => {
  test.each([
    ["prices:SPY", "prices", false, false],
    ["prices", "prices", false, false],
    ["bars:SPY:1m", "bars:SPY:1m", false, false],
    ["orders", "orders", true, true],
    ["account", "account", true, false],
    ["agents", "agents", false, true],
    ["items", "items", false, true],
    ["alert-rules", "alert-rules", true, true],
  ])("%s", (topic, name, needsSession, hasIds) => {
    expect([viewName(topic), isPrivate(topic), isLossless(topic)]).toEqual([
      name,
      needsSession,
      hasIds,
    ]);
  });

  test.each(["order", "bars:SPY", "prices:", "bars::1m", "toString", ""])(
    "%j is no view",
    (name) => {
      expect(() => emptyView(name)).toThrow(UnknownTopic);
    },
  );

  test.each([
    ["orders", true],
    ["agents", true],
    ["connections", true],
    ["prices", false],
    ["items", false],
  ])("whether %s depends on the user: %s", (topic, expected) => {
    expect(dependsOnUser(topic)).toBe(expected);
  });

  test("a view is concerned by its own events and by those about the stream", () => {
    const names = ["order:fill", "price:update", "stream:reset", "checkpoint"].filter((type) =>
      concerns("orders", event(type, {})),
    );
    expect(names).toEqual(["order:fill", "stream:reset", "checkpoint"]);
  });
});
