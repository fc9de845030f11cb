/** Replays: any moment of them is what the events up to it make. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EVENTS_BETWEEN_VIEWS, EventReplay, MAX_EVENTS } from "../src/replay.js";
import { ApiError } from "../src/rest.js";
import type { StreamEvent } from "../src/source.js";
import type { connect } from "../src/tapewire.js";
import { applyEvents, emptyView } from "../src/topics.js";
import type { ConnectOptions, State } from "../src/types.js";
import type { OrdersState } from "../src/views/orders.js";
import { event, order, position, random, TIME, trade } from "./events.js";

const START = Date.parse(TIME);
let url: string;
let stream: ConnectOptions;
let closed: number;

beforeEach(() => void vi.useFakeTimers({ now: START }));
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function open(options: { topics?: string[]; until?: string } = {}): EventReplay {
  closed = 0;
  const open = ((address: string, given: ConnectOptions) => {
    [url, stream] = [address, given];
    return {
      close: () => {
        closed += 1;
        stream.onState?.({ name: "closed", reason: "closed by this page", error: null });
      },
    };
  }) as unknown as typeof connect;
  const connection = { connect: open, baseUrl: "https://edge", user: "alice" };
  return new EventReplay(connection, { since: "2026-01-05T00:00:00Z", ...options });
}

/** What happens at each second. */
function history(length: number, seed = 1): StreamEvent[] {
  const rng = random(seed);
  return Array.from({ length }, (_, index) => {
    const timestamp = new Date(START + index * 1_000).toISOString();
    const name = `${Math.floor(rng() * 30)}`;
    if (rng() < 0.3) return event("trade:new", trade(`t${index}`, { timestamp }), index + 1);
    if (rng() < 0.3) {
      const positions = [position(name, { quantity: index })];
      return event("position:update", { positions, totalValue: index, timestamp }, index + 1);
    }
    return event("order:update", order(name, { filledQty: index, timestamp }), index + 1);
  });
}

function send(events: readonly StreamEvent[]): void {
  for (const { type, data, id } of events) stream.onEvent({ type, data, id });
}

const complete = event("replay:complete", { untilId: "e1-9" });

test("it asks for the user's topics in the given time, as the user", () => {
  const replay = open();
  const query = new URL(url).searchParams;
  expect(query.get("topics")?.split(",")).toContain("orders");
  expect([query.get("since"), query.get("until")]).toEqual([
    "2026-01-05T00:00:00Z",
    "2026-01-05T15:00:00.000Z",
  ]);
  expect(stream.user).toBe("alice");
  replay.close();
});

test.each([1, 2, 3, 4, 5])("every moment is the fold of the events up to it, seed %i", (seed) => {
  const log = history(EVENTS_BETWEEN_VIEWS * 3 + 17, seed);
  const replay = open({ topics: ["orders", "positions"] });
  send(log);
  send([complete]);
  const rng = random(seed + 100);
  for (let n = 0; n < 25; n++) {
    const count = Math.floor(rng() * (log.length + 1));
    for (const name of ["orders", "positions"] as const) {
      const expected = applyEvents(name, emptyView(name), log.slice(0, count)).state;
      expect(replay.after(count).view(name)).toEqual(expected);
    }
    const time = START + count * 1_000 - 1;
    expect(replay.at(time)).toMatchObject({
      count,
      event: log[count - 1] ? expect.anything() : null,
    });
  }
});

test("moments before the first event, after the last one and of other topics", () => {
  const replay = open({ topics: ["orders"] });
  send([event("order:update", order("a"), 1), complete]);
  expect(replay.at(START - 1)).toMatchObject({ count: 0, event: null, time: null });
  expect(replay.after(-5).count).toBe(0);
  expect(replay.after(9)).toMatchObject({ count: 1, time: START });
  expect(replay.after(1).view("positions").totalValue).toBeNull();
  expect(replay.after(0).view("orders").orders.byKey.size).toBe(0);
});

test("events that arrive later do not change earlier moments", () => {
  const log = history(40);
  const replay = open({ topics: ["orders"] });
  send(log.slice(0, 10));
  const early = replay.after(10).view("orders");
  send(log.slice(10));
  replay.after(40);
  expect(replay.after(10).view("orders")).toEqual(early);
  replay.close();
});

test("times are in order although clocks are not, and an event without a time has that of the one before", () => {
  const replay = open({ topics: ["orders"] });
  const at = (seconds: number, id: number) =>
    event(
      "order:update",
      order("a", { timestamp: new Date(START + seconds * 1_000).toISOString() }),
      id,
    );
  send([at(5, 1), at(3, 2), event("alert:new", { alertId: "x" }, 3), at(9, 4), complete]);
  expect(replay.times.map((time) => (time - START) / 1_000)).toEqual([5, 5, 5, 9]);
});

test("the status follows, and values and events about the stream are left out", () => {
  const replay = open();
  const changes: string[] = [];
  replay.status.subscribe(() => changes.push(JSON.stringify(replay.status.get())));
  send([
    event("connected", {}),
    event("price:update", {}),
    ...history(3),
    event("checkpoint", {}, 9),
  ]);
  vi.advanceTimersByTime(100);
  send([complete]);
  expect(changes).toEqual([
    '{"name":"loading","received":3}',
    '{"name":"complete","received":3,"isCut":false}',
  ]);
  expect(closed).toBe(1);
  send(history(5));
  expect(replay.times).toHaveLength(3);
});

test("a replay of too much is cut", () => {
  const replay = open({ topics: ["orders"] });
  const one = order("a");
  for (let n = 1; n <= MAX_EVENTS + 5; n++)
    send([event("order:update", { ...one, filledQty: n }, n)]);
  expect(replay.status.get()).toEqual({ name: "complete", received: MAX_EVENTS, isCut: true });
  const { orders } = replay.after(MAX_EVENTS).view("orders") as OrdersState;
  expect(orders.byKey.get("a")?.value.filledQty).toBe(MAX_EVENTS);
});

const closedBy = (reason: string): State => ({ name: "closed", reason, error: null });
test.each<[string, () => void, string]>([
  [
    "the journal was trimmed",
    () => send([event("stream:reset", { reason: "trimmed" })]),
    "does not have this time",
  ],
  [
    "the session ended",
    () => stream.onState?.({ name: "signed-out", reason: "expired" }),
    "expired",
  ],
  ["the server refuses", () => stream.onState?.(closedBy("too many")), "too many"],
])("it fails when %s, and what was loaded stays", (_, happens, message) => {
  const replay = open();
  send(history(2));
  happens();
  expect(replay.status.get()).toMatchObject({ name: "failed", received: 2 });
  expect(String((replay.status.get() as { error: Error }).error)).toContain(message);
  expect(replay.after(2).count).toBe(2);
});

test("it is complete when the server has nothing more for a client that returns", () => {
  const replay = open();
  send(history(2));
  const error = new ApiError({ error: "No Content", message: "", statusCode: 204 }, null);
  stream.onState?.({ name: "closed", reason: "204", error });
  expect(replay.status.get()).toEqual({ name: "complete", received: 2, isCut: false });
});

test("closing stops loading, once", () => {
  const replay = open();
  send(history(2));
  replay.close();
  replay.close();
  expect(replay.status.get()).toMatchObject({ name: "complete", isCut: true });
});
