/** A snapshot and what followed give the same view as the whole history, however it was delivered. */

import { describe, expect, test } from "vitest";
import type { StreamEvent, TopicView } from "../src/source.js";
import { applyEvents, emptyView } from "../src/topics.js";
import type { NotificationsState } from "../src/views/lists.js";
import type { OrdersState } from "../src/views/orders.js";
import type { PositionsState } from "../src/views/positions.js";
import type { Rows } from "../src/views/rows.js";
import {
  CONNECTED,
  event,
  idOf,
  item,
  notification,
  order,
  position,
  random,
  TIME,
  trade,
} from "./events.js";

const SEEDS = Array.from({ length: 60 }, (_, seed) => seed + 1);
const STATUSES = ["new", "partially_filled", "filled", "canceled"] as const;

type Rng = () => number;
const pick = <T>(rng: Rng, values: readonly T[]): T => values[Math.floor(rng() * values.length)]!;

/** An event of each topic's history, and the snapshot that a stream opens with. */
interface History {
  readonly name: string;
  next(rng: Rng, sequence: number): StreamEvent;
  opening(view: TopicView, sequence: number): StreamEvent[];
  /** What is compared. */
  content(view: TopicView): unknown;
}

function values<V>(rows: Rows<V>): V[] {
  return [...rows.byKey]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([, row]) => row.value);
}

const HISTORIES: History[] = [
  {
    name: "orders",
    next(rng, sequence) {
      const one = order(`o${Math.floor(rng() * 12)}`, {
        status: pick(rng, STATUSES),
        filledQty: sequence,
      });
      if (rng() < 0.2)
        return event(
          "order:fill",
          { ...one, fillQty: 1, fillPrice: 2, tradeId: `t${sequence}` },
          sequence,
        );
      if (rng() < 0.2) return event("alert:new", { alertId: `a${sequence}` }, sequence);
      return event("order:update", one, sequence);
    },
    opening: (view, sequence) => [
      event(
        "order:update",
        { snapshot: true, orders: values((view.state as OrdersState).orders), timestamp: TIME },
        sequence,
      ),
    ],
    content: (view) => values((view.state as OrdersState).orders),
  },
  {
    name: "positions",
    next(rng, sequence) {
      const positions = [position(pick(rng, ["A", "B", "C"]), { quantity: sequence })];
      return event(
        "position:update",
        { positions, totalValue: sequence, timestamp: TIME },
        sequence,
      );
    },
    opening(view, sequence) {
      const { positions, totalValue } = view.state as PositionsState;
      return [
        event(
          "position:update",
          { positions: values(positions), totalValue, snapshot: true, timestamp: TIME },
          sequence,
        ),
      ];
    },
    content: (view) => [
      values((view.state as PositionsState).positions),
      (view.state as PositionsState).totalValue,
    ],
  },
  {
    name: "items",
    next(rng, sequence) {
      const id = `i${Math.floor(rng() * 20)}`;
      const kind = pick(rng, ["new_item", "item:corrected", "item:retracted"]);
      return event(
        kind,
        kind === "item:retracted" ? { id, reason: "" } : item(id, { title: `${sequence}` }),
        sequence,
      );
    },
    opening: (view, sequence) => [
      ...values(view.state as Rows<ReturnType<typeof item>>).map((one) => event("new_item", one)),
      event("checkpoint", {}, sequence),
    ],
    content: (view) => values(view.state as Rows<unknown>),
  },
  {
    name: "notifications",
    next(rng, sequence) {
      if (rng() < 0.7) return event("notification", notification(`n${sequence}`), sequence);
      return event(
        "notification:read",
        { ids: rng() < 0.2 ? null : [], timestamp: TIME },
        sequence,
      );
    },
    opening: (view, sequence) => [
      event("notification:unread", {
        unread: (view.state as NotificationsState).unread,
        timestamp: TIME,
      }),
      event("checkpoint", {}, sequence),
    ],
    content: (view) => (view.state as NotificationsState).unread,
  },
];

/** The view after the events in batches of any size, some of them delivered again, from an earlier id. */
function deliver(rng: Rng, name: string, opening: StreamEvent[], tail: StreamEvent[]): TopicView {
  let view = applyEvents(name, emptyView(name), [CONNECTED, ...opening]);
  let next = 0;
  while (next < tail.length) {
    const from = rng() < 0.3 ? Math.floor(rng() * (next + 1)) : next; // a resume, or a new leader's
    const until = Math.min(tail.length, Math.max(from, next) + Math.ceil(rng() * 7));
    view = applyEvents(name, view, tail.slice(from, until));
    next = Math.max(next, until);
  }
  return view;
}

describe.each(HISTORIES)("$name", ({ name, next, opening, content }) => {
  test.each(SEEDS)("seed %i", (seed) => {
    const rng = random(seed);
    const start = { ...emptyView(name), phase: "complete" as const };
    if (name === "notifications")
      Object.assign(start, { state: { ...(start.state as object), unread: 0 } });
    const log = Array.from({ length: 120 }, (_, index) => next(rng, index + 1));
    const full = applyEvents(name, start, log);
    const cut = Math.floor(rng() * log.length);
    const atCut = applyEvents(name, start, log.slice(0, cut));
    const view = deliver(rng, name, opening(atCut, cut), log.slice(cut));
    expect(content(view)).toEqual(content(full));
    expect(view.position).toBe(idOf(log.length));
    expect(view.phase).toBe("complete");
    expect(applyEvents(name, view, log)).toBe(view); // once more from the beginning: nothing is later
  });
});

describe("executions", () => {
  test.each(SEEDS)("corrections in any batches, seed %i", (seed) => {
    const rng = random(seed);
    const log = Array.from({ length: 60 }, (_, index) => {
      const sequence = index + 1;
      const known = Math.floor(rng() * index);
      return index > 0 && rng() < 0.3
        ? event(
            "trade:corrected",
            {
              ...trade(`t${known}`, { qty: sequence }),
              before: { qty: 1, price: 1, fee: 0 },
              number: 1,
            },
            sequence,
          )
        : event("trade:new", trade(`t${index}`), sequence);
    });
    const full = applyEvents("orders", emptyView("orders"), log).state as OrdersState;
    const parts = deliver(rng, "orders", [], log).state as OrdersState;
    expect(values(parts.trades)).toEqual(values(full.trades));
  });
});
