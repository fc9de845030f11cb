/** The pure parts of sharing: demand, frames, elections, silence, beginnings, and what a tab sees. */

import { describe, expect, test } from "vitest";

import { demandAfter, mergeTopics } from "../../src/hub/demand.js";
import { LINGER_MS } from "../../src/hub/messages.js";
import { Outbox } from "../../src/hub/outbox.js";
import { beginningOf, chooseGivers } from "../../src/hub/seeding.js";
import { TOKEN_TIMEOUT_MS, TokenRelay } from "../../src/hub/token-relay.js";
import { AWAY, nextTerm, step } from "../../src/sharing/election.js";
import { afterMessage, afterTick, beginListening, isSilent } from "../../src/sharing/liveness.js";
import { restrictEvent } from "../../src/sharing/restrict.js";
import type { StreamEvent, TopicView } from "../../src/source.js";
import { emptyView } from "../../src/topics.js";
import { FakeClock } from "../fakes.js";

function event(type: string, data: unknown, id: string | null = null): StreamEvent {
  return { type, data, id, receivedAt: 0 };
}

const quote = (symbol: string, price: number): StreamEvent =>
  event("price:update", { symbol, price });

describe("the topics of the one stream", () => {
  test.each([
    [
      ["prices:SPY", "orders", "prices:IBM"],
      ["orders", "prices:IBM", "prices:SPY"],
    ],
    [["prices:SPY", "prices"], ["prices"]],
    [["prices:A,B", "bars::1m", "prices: A", "prices:Ä", ""], [""]],
  ])("%j are asked for as %j", (topics, expected) => {
    expect(mergeTopics(topics)).toEqual(expected);
  });

  test("very many symbols are asked for as all of them", () => {
    const symbols = Array.from({ length: 201 }, (_, index) => `prices:S${index}`);
    expect(mergeTopics([...symbols, "orders"])).toEqual(["orders", "prices"]);
  });

  test("a topic that nobody wants any more lingers, and a clock set back does not keep it", () => {
    const wanted = demandAfter(new Map(), new Set(["orders", "prices"]), 1_000);
    const left = demandAfter(wanted, new Set(["orders"]), 2_000);
    expect([...left.keys()].sort()).toEqual(["orders", "prices"]);
    expect([...demandAfter(left, new Set(["orders"]), 2_000 + LINGER_MS).keys()]).toEqual([
      "orders",
    ]);
    expect([...demandAfter(left, new Set(["orders"]), -LINGER_MS).keys()]).toEqual(["orders"]);
    expect(demandAfter(left, new Set(["prices"]), 2_500).get("prices")).toBeNull();
  });
});

describe("a frame", () => {
  test("has every event with an id in order, and the newest quote of each symbol", () => {
    const outbox = new Outbox();
    const fill = event("order:fill", {}, "e-1");
    const trade = event("trade:new", {}, "e-2");
    for (const one of [quote("SPY", 1), fill, quote("IBM", 2), quote("SPY", 3), trade])
      outbox.add(one);
    expect(outbox.take()).toEqual([fill, trade, quote("SPY", 3), quote("IBM", 2)]);
    expect(outbox.isEmpty).toBe(true);
  });

  test("does not repeat quotes from before a snapshot after it", () => {
    const outbox = new Outbox();
    const snapshot = event("price:update", { initializing: true, prices: [{ symbol: "SPY" }] });
    for (const one of [quote("SPY", 1), quote("IBM", 2), snapshot]) outbox.add(one);
    expect(outbox.take()).toEqual([snapshot, quote("IBM", 2)]);
  });

  test("keeps a closed bar when the next one begins", () => {
    const outbox = new Outbox();
    const bar = (start: string, close: number): StreamEvent =>
      event("bar:update", { symbol: "SPY", interval: "1m", start, close });
    for (const one of [bar("10:00", 1), bar("10:00", 2), bar("10:01", 3)]) outbox.add(one);
    expect(outbox.take()).toEqual([bar("10:00", 2), bar("10:01", 3)]);
  });
});

describe("an election", () => {
  const joined = step(AWAY, { kind: "join" }).state;
  const leading = step(joined, { kind: "granted", request: 1, nextTerm: 50 }).state;

  test("the tab that gets the lock leads for a later term than any it has heard of", () => {
    const heard = step(joined, { kind: "heard", term: 90 }).state;
    const { actions } = step(heard, { kind: "granted", request: 1, nextTerm: 50 });
    expect(actions).toEqual([{ kind: "lead", term: 91 }]);
    expect(nextTerm(1, 0.5, 5_000)).toBe(5_001);
  });

  test.each([
    ["its lock is stolen", { kind: "lost", request: 1 } as const],
    ["it hears a later leader", { kind: "heard", term: 51 } as const],
  ])("a leader stops and queues again when %s", (_, input) => {
    const { state, actions } = step(leading, input);
    expect(state.role).toBe("follower");
    expect(actions.map((action) => action.kind)).toEqual(["stop", "release", "request"]);
  });

  test("a follower steals the lock of a leader that is silent; a leader does not", () => {
    expect(step(joined, { kind: "silent" }).actions).toContainEqual({
      kind: "request",
      request: 2,
      steal: true,
    });
    expect(step(leading, { kind: "silent" }).actions).toEqual([]);
  });

  test("what becomes of an earlier request is of no interest", () => {
    const stealing = step(joined, { kind: "silent" }).state;
    expect(step(stealing, { kind: "lost", request: 1 }).state).toBe(stealing);
    expect(step(stealing, { kind: "granted", request: 1, nextTerm: 5 }).actions).toEqual([]);
  });

  test("a page that leaves leads no more, even if it gets the lock then", () => {
    const left = step(leading, { kind: "leave" });
    expect(left.actions.map((action) => action.kind)).toEqual(["stop", "release"]);
    expect(step(left.state, { kind: "granted", request: 1, nextTerm: 5 }).actions).toEqual([]);
  });
});

describe("silence", () => {
  const heard = afterMessage(beginListening(0), 0, 0);

  test("a tab that hears nothing asks, and then seeks", () => {
    let liveness = heard;
    const said: string[] = [];
    for (let now = 125; now <= 1_375; now += 125) {
      const tick = afterTick(liveness, now, 0);
      liveness = tick.liveness;
      if (tick.shouldPing) said.push(`ask ${now}`);
      if (tick.shouldSeek) said.push(`seek ${now}`);
    }
    expect(said).toEqual(["ask 625", "ask 1000", "seek 1250"]);
  });

  test("after sleep nothing is current, and nobody seeks before messages could arrive", () => {
    expect(isSilent(heard, 60_000)).toBe(true);
    expect(afterTick(heard, 60_000, 0).shouldSeek).toBe(false);
  });

  test("a message that was held up does not show that the hub is there", () => {
    expect(isSilent(afterMessage(heard, 100, 20_000), 20_000)).toBe(true);
    expect(isSilent(afterMessage(heard, 19_900, 20_000), 20_000)).toBe(false);
  });
});

describe("a new hub", () => {
  const complete = (name: string, position: string): [string, TopicView] => [
    name,
    { ...emptyView(name, position), phase: "complete" },
  ];

  test("resumes at the lowest position, and adds what nobody has afterwards", () => {
    const views = new Map([
      complete("orders", "e-9"),
      complete("alerts", "e-5"),
      complete("prices", ""),
    ]);
    const { topics, position } = beginningOf(
      ["alerts", "orders", "positions", "prices:SPY"],
      views,
    );
    expect([topics, position]).toEqual([["alerts", "orders", "prices:SPY"], "e-5"]);
  });

  test("begins with snapshots when no view is complete", () => {
    const views = new Map([["orders", emptyView("orders", "e-5")]]);
    expect(beginningOf(["orders"], views)).toMatchObject({ topics: ["orders"], position: "" });
  });

  test("does not resume views of two journals", () => {
    const views = new Map([complete("orders", "e-9"), complete("alerts", "f-5")]);
    expect(beginningOf(["alerts", "orders"], views).topics).toHaveLength(1);
  });

  test("asks the tab that is furthest", () => {
    const tabs = [
      { tab: "a", position: "e-5", has: ["orders", "alerts"] },
      { tab: "b", position: "e-12", has: ["orders"] },
    ];
    expect([...chooseGivers(tabs)]).toEqual([
      ["b", ["orders"]],
      ["a", ["alerts"]],
    ]);
  });
});

describe("what a tab sees of the prices of all tabs", () => {
  test("are those of its own symbols", () => {
    expect(restrictEvent(quote("IBM", 1), ["prices:SPY"])).toBeNull();
    expect(restrictEvent(quote("SPY", 1), ["prices:SPY"])).toEqual(quote("SPY", 1));
    const list = event("price:update", {
      prices: [{ symbol: "SPY" }, { symbol: "IBM" }],
      unknown: ["X"],
    });
    expect(restrictEvent(list, ["prices:SPY"])?.data).toEqual({
      prices: [{ symbol: "SPY" }],
      unknown: [],
    });
    expect(restrictEvent(list, ["prices"])).toBe(list);
  });
});

describe("the token of a hub", () => {
  test("comes from another tab when one does not answer, or has none", async () => {
    const clock = new FakeClock();
    const asked: number[] = [];
    const environment = {
      ...clock,
      setTimeout: clock.setTimeout.bind(clock),
      clearTimeout: clock.clearTimeout.bind(clock),
    };
    const relay = new TokenRelay(environment as never, (attempt) => asked.push(attempt));
    const token = relay.request();
    await clock.advance(TOKEN_TIMEOUT_MS);
    relay.receive(null);
    relay.receive("abc");
    await expect(token).resolves.toBe("abc");
    expect(asked).toEqual([0, 1, 2]);
  });

  test("is given up when no tab has one", async () => {
    const relay = new TokenRelay(new FakeClock() as never, () => relay.receive(null));
    await expect(relay.request()).rejects.toThrow("no tab has a token");
  });
});
