/**
 * What a client does after its server has announced the end of the connection, as cases that run in
 * Node and in Chromium: name → test. `old` is the closing connection, `next` replaces it.
 */

import { MAX_HELD_EVENTS } from "../../src/stream-request.js";
import { type Cases, equal } from "../assert.js";
import { connected } from "../fakes.js";
import { CONNECTED, DRAINING, LIVE, leaving, order } from "../leaving.js";

const refusal =
  (status: number, headers = {}) =>
  () =>
    Response.json({ error: "No", message: "not now", statusCode: status }, { status, headers });

export const cases: Cases = {
  async "the next connection is opened before the old one is closed, and resumes by id"() {
    const { old, last, exchanges, numbers, names, clock, stream } = await leaving(["stream"]);
    equal(exchanges.length, 2, "requests");
    equal(last().headers["Last-Event-ID"], "e-7", "resume id");
    equal([old.aborted, numbers()], [false, [7]], "the old connection stays open");
    await old.send(order(8));
    await last().send(`retry: 5000\n\n${CONNECTED}`);
    await old.send(order(9));
    equal([old.aborted, numbers()], [false, [7, 8, 9]], "the old connection delivers until then");
    await last().send(order(8) + order(9) + LIVE);
    equal(old.aborted, true, "the old connection is closed");
    await last().send(order(10));
    equal(numbers(), [7, 8, 9, 10], "delivered");
    equal(names(), ["connecting", "live"], "states seen by the page");
    equal(clock.pending, 1, "timers: the watchdog's");
    stream.close();
  },

  async "every request asks for a notice of catching up"() {
    const { exchanges, stream } = await leaving(["stream"]);
    equal(
      exchanges.map(({ url }) => url),
      ["/api/stream/trading?handover=1", "/api/stream/trading?handover=1&lastEventId=e-7"],
      "addresses",
    );
    stream.close();
  },

  async "the notice is not delivered to the page, in either spelling of its key"() {
    for (const key of ["closesInMs", "closes_in_ms"]) {
      const { last, events, exchanges, stream } = await connected(["stream"]);
      await last().send(`event: stream:draining\ndata: {"${key}":5000}\n\n`);
      equal([events.length, exchanges.length], [0, 2], key);
      stream.close();
    }
  },

  async "a second notice on the old connection opens no third connection"() {
    const { old, exchanges, stream } = await leaving(["stream"]);
    await old.send(DRAINING);
    equal(exchanges.length, 2, "requests");
    stream.close();
  },

  async "a comment before the greeting does not complete the handover"() {
    const { old, last, stream } = await leaving(["stream"]);
    await last().send(LIVE);
    equal(old.aborted, false, "the old connection stays open");
    stream.close();
  },

  async "an event that only the next connection has is delivered once at the handover"() {
    const { old, last, numbers, stream } = await leaving(["stream"]);
    await last().send(CONNECTED + order(8) + order(9));
    equal(numbers(), [7], "held back");
    await old.send(order(8));
    await last().send(LIVE + order(10));
    equal(numbers(), [7, 8, 9, 10], "delivered");
    equal(stream.lastEventId, "e-10", "position");
    stream.close();
  },

  async "the next connection takes over at once if the old one ends first"() {
    const { old, last, numbers, names, exchanges, clock, stream } = await leaving(["stream"]);
    await last().send(CONNECTED + order(8));
    await old.send("retry: 1500\n\n");
    await old.end();
    equal(numbers(), [7, 8], "delivered");
    await last().send(order(9));
    equal(
      [numbers(), names()],
      [
        [7, 8, 9],
        ["connecting", "live"],
      ],
      "goes on",
    );
    await clock.advance(30_000);
    equal(exchanges.length, 2, "requests");
    stream.close();
  },

  async "if the old connection breaks during the next request, the client waits for that one"() {
    const { old, last, numbers, names, exchanges, stream } = await leaving(["hang"]);
    await old.send(order(8));
    await old.fail();
    equal(names(), ["connecting", "live", "connecting"], "states seen by the page");
    await last().accept();
    await last().send(CONNECTED + order(8) + order(9));
    equal([numbers(), names().at(-1)], [[7, 8, 9], "live"], "goes on");
    equal(exchanges.length, 2, "requests");
    stream.close();
  },

  async "the old connection serves while failed next connections are retried"() {
    const down = refusal(503, { "Retry-After": "3" });
    const { old, last, exchanges, requests, clock, names, numbers, stream } = await leaving([
      "down",
      down,
      "stream",
    ]);
    equal(requests(), 2, "tries at once");
    await clock.advance(624);
    equal(requests(), 2, "tries before the time");
    await clock.advance(1);
    equal(requests(), 3, "tries after half a second and a quarter of it");
    await old.send(order(8));
    await clock.advance(3749);
    equal(requests(), 3, "tries before the Retry-After has passed");
    await clock.advance(1);
    equal(last().headers["Last-Event-ID"], "e-8", "resume id");
    await last().send(CONNECTED + LIVE + order(9));
    equal([numbers(), old.aborted], [[7, 8, 9], true], "changed over");
    equal([names(), exchanges.length], [["connecting", "live"], 3], "states seen by the page");
    stream.close();
  },

  async "without a next connection the client reconnects as after any end"() {
    const { old, clock, states, requests, stream } = await leaving(["down"]);
    await old.send("retry: 1500\n\n");
    await old.end();
    equal(states.at(-1).retryInMs, 1500, "the server's own wait");
    equal(clock.pending, 1, "timers: that wait's");
    const before = requests();
    await clock.advance(1499);
    equal(requests(), before, "no try meanwhile");
    await clock.advance(1);
    equal(requests(), before + 1, "one after it");
    stream.close();
  },

  async "a permanent rejection takes effect only when the old connection ends"() {
    const { old, clock, requests, names, stream } = await leaving([refusal(401)]);
    await clock.advance(60_000);
    equal([requests(), names().at(-1)], [2, "live"], "requests, and the state");
    await old.end();
    await clock.advance(3000);
    equal(stream.state.name, "signed-out", "state after the end");
  },

  async "a next connection that ends before it is ready is retried"() {
    const { old, last, exchanges, clock, numbers, stream } = await leaving(["stream"]);
    await last().send(CONNECTED + order(8));
    await last().end();
    equal([numbers(), old.aborted], [[7], false], "the old connection stays open");
    await clock.advance(625);
    equal(exchanges.length, 3, "requests");
    await old.send(order(8));
    await last().send(CONNECTED + order(8) + LIVE);
    equal([numbers(), old.aborted], [[7, 8], true], "changed over");
    stream.close();
  },

  async "the retry of a next connection that did not take over is ignored"() {
    const { old, last, states, stream } = await leaving(["stream", "down"]);
    await last().send(`retry: 7000\n\n${CONNECTED}`);
    await last().end();
    await old.end();
    equal(states.at(-1).retryInMs, 3000, "wait");
    stream.close();
  },

  async "an event of the old connection at the moment of the handover is dropped"() {
    const { old, last, events, stream } = await leaving(["stream"]);
    await last().send(CONNECTED);
    void last().send(LIVE);
    await old.send("event: position:update\ndata: {}\n\n");
    equal(
      events.map(({ type }) => type),
      ["order:update", "connected"],
      "events",
    );
    stream.close();
  },

  async "a connection that becomes ready late does not end the following handover"() {
    const { old, last, exchanges, stream } = await leaving(["stream"]);
    const next = last();
    await next.send(CONNECTED);
    await old.end();
    await next.send(DRAINING);
    equal(exchanges.length, 3, "requests");
    await next.send(LIVE);
    equal(next.aborted, false, "it serves until the third is ready");
    await last().send(CONNECTED + LIVE);
    equal(next.aborted, true, "then it is left");
    stream.close();
  },

  async "the number of held events is bounded"() {
    const { old, last, events, stream } = await leaving(["stream"]);
    await last().send(CONNECTED + "event: test\ndata: 1\n\n".repeat(MAX_HELD_EVENTS - 3));
    equal([old.aborted, events.length], [false, 1], "held back");
    await last().send("event: test\ndata: 1\n\n");
    equal([old.aborted, events.length], [true, MAX_HELD_EVENTS], "let go");
    stream.close();
  },

  async "a silent old connection is replaced by the next one"() {
    const { old, last, clock, names, stream } = await leaving(["stream"]);
    await clock.advance(70_000);
    await last().send(CONNECTED);
    await clock.advance(5000);
    equal([old.aborted, last().aborted], [true, false], "given up");
    equal(names(), ["connecting", "live"], "states");
    stream.close();
  },

  async "after the handover the retry of the next connection applies"() {
    const { last, states, stream } = await leaving(["stream"]);
    await last().send(`retry: 7000\n\n${CONNECTED}${LIVE}`);
    await last().end();
    equal(states.at(-1).retryInMs, 7000, "wait");
    stream.close();
  },

  async "values without ids come from the old connection until the handover, then from the next"() {
    const { old, last, events, stream } = await leaving(["stream"]);
    const value = (n: number) => `event: position:update\ndata: {"n":${n}}\n\n`;
    await last().send(CONNECTED + value(1));
    await old.send(value(2));
    equal(
      events.slice(1).map(({ data }) => data.n),
      [2],
      "before",
    );
    await last().send(value(3) + LIVE + value(4));
    const after = events.filter(({ type }) => type === "position:update");
    equal(
      after.map(({ data }) => data.n),
      [2, 1, 3, 4],
      "after",
    );
    stream.close();
  },

  async "each event is delivered once and in order for any interleaving of the two connections"() {
    for (let seed = 1; seed <= 60; seed += 1) {
      const chance = dice(seed);
      const { old, last, numbers, stream } = await leaving(["stream"]);
      const next = last();
      await next.send(CONNECTED);
      let [byOld, byNext, left] = [7, 7, false];
      while (byNext < 14) {
        if (!left && byOld < 14 && chance() < 0.5) {
          byOld += 1;
          await old.send(order(byOld));
        } else {
          byNext += 1;
          await next.send(order(byNext));
        }
        if (!left && chance() < 0.15) {
          left = true;
          // The server sends this only after catching up, so it has reached the old connection.
          if (byNext >= byOld) await next.send(LIVE);
          else await old.end();
        }
      }
      await next.send(LIVE);
      equal(numbers(), [7, 8, 9, 10, 11, 12, 13, 14], `seed ${seed}`);
      stream.close();
    }
  },
};

/** A random generator that repeats its numbers for a seed. */
function dice(seed: number): () => number {
  let state = seed * 2_654_435_761;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}
