/**
 * How a stream ends or begins anew during a handover, as cases that run in Node and in Chromium:
 * name → test. `old` is the closing connection, `next` replaces it.
 */

import type { Connection, StreamEvent } from "../../src/tapewire.js";
import { type Cases, equal } from "../assert.js";
import { CONNECTED, DRAINING, LIVE, leaving, order } from "../leaving.js";

export const cases: Cases = {
  async "close during the handover ends both connections and delivers nothing"() {
    for (const answer of ["stream", "hang", "down"] as const) {
      const { old, last, stream, events, names, clock, requests } = await leaving([answer]);
      if (answer === "stream") await last().send(CONNECTED + order(8));
      const [asked, seen] = [requests(), events.length];
      stream.close();
      await clock.advance(600_000);
      equal([old.aborted, answer === "down" || last().aborted], [true, true], "given up");
      equal([events.length, requests(), clock.pending], [seen, asked, 0], "nothing more");
      equal(names(), ["connecting", "live", "closed"], "states");
    }
  },

  async "close by the page during the delivery of held events stops the delivery"() {
    let stream: Connection | undefined;
    const seen: (string | null)[] = [];
    const onEvent = ({ id }: StreamEvent) => {
      seen.push(id);
      if (id === "e-8") stream?.close();
    };
    const made = await leaving(["stream"], { onEvent });
    stream = made.stream;
    await made.last().send(CONNECTED + order(8) + order(9) + LIVE + order(10));
    equal(seen, ["e-7", null, "e-8"], "delivered");
    equal(made.last().aborted, true, "given up");
  },

  async "a reset on the next connection takes over at once"() {
    const { old, last, events, stream } = await leaving(["stream"]);
    await last().send(`${CONNECTED}event: stream:reset\ndata: {"reason":"epoch"}\n\n`);
    equal(old.aborted, true, "the old connection is closed");
    await last().send('event: order:update\nid: f-2\ndata: {"snapshot":true}\n\n');
    equal(
      events.map(({ type }) => type),
      ["order:update", "connected", "stream:reset", "order:update"],
      "events",
    );
    equal(stream.lastEventId, "f-2", "position");
    stream.close();
  },

  async "an expired session or the connection limit on the next connection is final"() {
    for (const [type, name] of [
      ["auth:expired", "signed-out"],
      ["connection:limit", "closed"],
    ]) {
      const { old, last, stream, clock } = await leaving(["stream"]);
      await last().send(`${CONNECTED}event: ${type}\ndata: {}\n\n`);
      equal([stream.state.name, old.aborted, last().aborted], [name, true, true], type);
      equal(clock.pending, 0, "timers left behind");
    }
  },

  async "an expired session on the old connection is final and closes the next one"() {
    const { old, last, stream, clock } = await leaving(["stream"]);
    await last().send(CONNECTED);
    await old.send("event: auth:expired\ndata: {}\n\n");
    equal([stream.state.name, last().aborted, clock.pending], ["signed-out", true, 0], "state");
  },

  async "a next request without a response times out and is retried"() {
    const { old, exchanges, clock, stream } = await leaving(["hang", "stream"]);
    for (let second = 0; second < 15; second += 5) {
      await old.send(": keepalive\n\n");
      await clock.advance(5000);
    }
    equal(exchanges[1].aborted, true, "given up");
    await clock.advance(625);
    equal(exchanges.length, 3, "requests");
    stream.close();
  },

  async "a next connection that is closing too is replaced by a third"() {
    const { old, last, exchanges, numbers, names, stream } = await leaving(["stream"]);
    const next = last();
    await next.send(CONNECTED + DRAINING + order(8));
    equal(exchanges.length, 2, "one change at a time");
    await next.send(LIVE);
    equal([old.aborted, next.aborted, exchanges.length], [true, false, 3], "the second change");
    await next.send(order(9));
    await last().send(CONNECTED + order(9) + LIVE + order(10));
    equal([numbers(), next.aborted], [[7, 8, 9, 10], true], "delivered");
    equal(names(), ["connecting", "live"], "states");
    stream.close();
  },
};
