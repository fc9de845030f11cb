import type { Notification } from "@tapewire/client";
import { describe, expect, it } from "vitest";

import { groupNotifications, importanceOf, isRoutine, matches, targetOf } from "./grouping.js";

let count = 0;
const one = (
  type: string,
  payload: Record<string, unknown> = {},
  more: Partial<Notification> = {},
): Notification => ({
  id: String(count++),
  type,
  title: type,
  message: "",
  payload,
  is_read: false,
  created_at: "2026-03-02T14:30:00Z",
  ...more,
});

describe("the routine of a strategy", () => {
  it.each([
    ["a fill of its order", one("order_filled", { strategyId: "s1" }), true],
    ["a fill of the user's own order", one("order_filled", { strategyId: null }), false],
    ["its stop-loss", one("stop_loss", { strategyId: "s1" }), false],
    ["its rejected order", one("order_rejected", { strategyId: "s1" }), false],
    ["its failure", one("strategy_error", { strategyId: "s1" }), false],
    ["an alert", one("alert", {}), false],
  ])("%s", (_, notification, expected) => {
    expect(isRoutine(notification)).toBe(expected);
  });
});

describe("groups", () => {
  it("a busy strategy is one group, and does not bury a warning", () => {
    const fills = Array.from({ length: 300 }, (_, index) =>
      one("order_filled", { strategyId: "s1", orderId: `o${index}` }),
    );
    const warning = one("alert", { level: "warning" });
    const groups = groupNotifications([...fills.slice(0, 150), warning, ...fills.slice(150)]);
    expect(groups.map(({ notifications, unread }) => [notifications.length, unread])).toEqual([
      [300, 300],
      [1, 1],
    ]);
    expect(groups[1]?.importance).toBe("warning");
  });

  it("keeps strategies, kinds and days apart", () => {
    const groups = groupNotifications([
      one("order_filled", { strategyId: "s1" }),
      one("order_filled", { strategyId: "s2" }),
      one("strategy_position_adjusted", { strategyId: "s1" }),
      one("order_filled", { strategyId: "s1" }, { created_at: "2026-03-01T14:30:00Z" }),
    ]);
    expect(groups).toHaveLength(4);
  });

  it("never joins important ones", () => {
    expect(groupNotifications([one("order_rejected"), one("order_rejected")])).toHaveLength(2);
  });

  it("counts what is unread", () => {
    const [group] = groupNotifications([one("note"), one("note", {}, { is_read: true })]);
    expect(group?.unread).toBe(1);
  });
});

it.each([
  ["order_failed", {}, "error"],
  ["alert", { level: "error" }, "error"],
  ["alert", { level: "warning" }, "warning"],
  ["alert", { level: 5 }, "info"],
  ["stop_loss", {}, "warning"],
  ["order_filled", {}, "info"],
  ["errors_of_the_day", {}, "info"],
] as [string, Record<string, unknown>, string][])(
  "importance of %s %o is %s",
  (type, payload, importance) => {
    expect(importanceOf(one(type, payload))).toBe(importance);
  },
);

it("takes payloads of any shape", () => {
  for (const payload of [null, "text", [], { symbol: { a: 1 } }, { strategyId: 7 }]) {
    const odd = one("x", payload as never);
    expect(() => [
      groupNotifications([odd]),
      targetOf(odd),
      matches(odd, "important"),
    ]).not.toThrow();
  }
});

it("leads to what it is about", () => {
  expect(targetOf(one("x", { orderId: "o", symbol: "IBM" }))).toEqual({
    panel: "blotter",
    symbol: "IBM",
  });
  expect(targetOf(one("x", { strategyId: "s" }))).toEqual({ panel: "strategies", symbol: null });
  expect(targetOf(one("x"))).toBeNull();
});
