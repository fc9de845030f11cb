/** The views of orders and positions: what each of their events changes. */

import { describe, expect, test } from "vitest";
import type { StreamEvent } from "../src/source.js";
import { MAX_CLOSED_ORDERS, MAX_TRADES } from "../src/views/orders.js";
import {
  apply,
  event,
  idOf,
  order,
  position,
  quote,
  TIME,
  trade,
  values,
  viewOf,
} from "./events.js";
import { snapshot } from "./store-fixture.js";

describe("orders", () => {
  test("a fill changes its order, and only the fields of orders stay", () => {
    const filled = order("a", { status: "filled", filledQty: 10, filledAvgPrice: 99 });
    const fill = {
      ...filled,
      fillQty: 10,
      fillPrice: 99,
      tradeId: "t",
      fillFee: 1,
      executionId: "x",
      exceptions: [],
    };
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
    expect(after.state.orders.byKey.get("b")?.value).toBe(
      before.state.orders.byKey.get("b")?.value,
    );
  });

  test("closed orders are bounded, open ones are not", () => {
    const events = Array.from({ length: 600 }, (_, n) =>
      event("order:update", order(`o${n}`, { status: n % 2 === 0 ? "new" : "filled" }), n + 1),
    );
    const rows = values(viewOf("orders", ...events).state.orders);
    expect(rows.filter((one) => one.status === "new")).toHaveLength(300);
    expect(rows.filter((one) => one.status === "filled")).toHaveLength(MAX_CLOSED_ORDERS);
    expect(rows.at(-1)?.orderId).toBe("o599");
  });

  test("a correction changes its trade, which keeps its time and its venue's time", () => {
    const original = trade("t", {
      qty: 5,
      price: 100,
      fee: 1,
      venueTime: "v",
      timestamp: "2026-01-05T14:00:00Z",
    });
    const correction = {
      ...trade("t", { qty: 0, price: 100 }),
      before: { qty: 5, price: 100, fee: 1 },
      number: 1,
    };
    const view = viewOf(
      "orders",
      event("trade:new", original, 1),
      event("trade:corrected", correction, 2),
    );
    expect(values(view.state.trades)).toEqual([
      {
        ...trade("t", { qty: 0, venueTime: "v", timestamp: "2026-01-05T14:00:00Z" }),
        before: { qty: 5, price: 100, fee: 1 },
      },
    ]);
  });

  test("executions are bounded", () => {
    const events = Array.from({ length: MAX_TRADES + 5 }, (_, n) =>
      event("trade:new", trade(`t${n}`), n + 1),
    );
    expect(values(viewOf("orders", ...events).state.trades)[0]?.tradeId).toBe("t5");
  });
});

describe("positions", () => {
  const update = (sequence: number | null, ...positions: unknown[]): StreamEvent =>
    event("position:update", { positions, totalValue: 7, timestamp: TIME }, sequence);
  const opened = viewOf(
    "positions",
    event(
      "position:update",
      { positions: [position("A"), position("B")], totalValue: 5, timestamp: TIME, snapshot: true },
      3,
    ),
  );

  test("a valuation has no id, and an event that was before it stays out", () => {
    const valued = apply("positions", opened, update(null, position("A", { currentPrice: 101 })));
    expect(valued.state.positions.byKey.get("A")).toMatchObject({
      value: { currentPrice: 101 },
      at: idOf(3),
    });
    expect(valued.state.positions.byKey.get("B")).toBe(opened.state.positions.byKey.get("B"));
    expect(apply("positions", valued, update(2, position("A", { quantity: 9 })))).toBe(valued);
  });

  test("a stale price makes an open position stale, and the next valuation ends it", () => {
    const stale = apply(
      "positions",
      opened,
      event("price:stale", quote("A", 1, { stale: true })),
      event("price:stale", quote("X", 1)),
    );
    expect(stale.state.positions.byKey.get("A")?.value.stale).toBe(true);
    expect([...stale.state.positions.byKey.keys()]).toEqual(["A", "B"]);
    expect(
      apply("positions", stale, update(null, position("A"))).state.positions.byKey.get("A")?.value
        .stale,
    ).toBeUndefined();
  });

  test("a closed position has no price that could be stale", () => {
    const closed = apply("positions", opened, update(4, position("A", { quantity: 0 })));
    expect(apply("positions", closed, event("price:stale", quote("A", 1)))).toBe(closed);
  });
});
