/** What a client does when its stream is silent, as cases that run in Node and in Chromium: name → test. */

import { type Cases, equal } from "../assert.js";
import { connected } from "../fakes.js";

const SILENT = { name: "live", isSilent: true };

export const cases: Cases = {
  async "a connection without bytes or comments for two and a half keepalives is dropped"() {
    const { last, clock, states, exchanges, stream } = await connected(["stream"]);
    await last().send("id: e-1\ndata: 1\n\n");
    await clock.advance(70_000);
    await last().send(": keepalive\n\n");
    await clock.advance(74_999);
    equal(stream.state.name, "live", "state before");
    await clock.advance(1);
    equal(states.at(-1).reason, "the server went silent", "reason");
    equal(exchanges[0].aborted, true, "old request given up");
    await clock.advance(30_000);
    equal(exchanges[1].headers["Last-Event-ID"], "e-1", "resume id");
    stream.close();
  },

  async "the announced keepalive interval determines the silence timeout"() {
    const { last, clock, stream } = await connected(["stream"]);
    await last().send('event: connected\ndata: {"keepaliveMs":120000}\n\n');
    await clock.advance(299_999);
    equal(stream.state.name, "live", "state before");
    await clock.advance(1);
    equal(stream.state.name, "reconnecting", "state after");
    stream.close();
  },

  async "a stream with prices that falls silent is said to be silent, and no longer when it speaks"() {
    const { last, clock, states, stream } = await connected(["stream"]);
    await last().send('event: connected\ndata: {"keepaliveMs":30000,"pricesKeepaliveMs":1000}\n\n');
    await last().send('event: price:update\ndata: {"symbol":"IBM"}\n\n');
    await clock.advance(2_999);
    equal(stream.state, { name: "live" }, "before");
    await last().send(": prices\n\n");
    await clock.advance(2_999);
    equal(stream.state, { name: "live" }, "a comment is a sign of life");
    await clock.advance(1);
    equal(stream.state, SILENT, "after");
    await last().send(": prices\n\n");
    equal(states.at(-1), { name: "live" }, "when it speaks again");
    await clock.advance(3_000);
    equal(stream.state, SILENT, "each time");
    stream.close();
  },

  async "a snapshot of prices counts as prices, in both families"() {
    for (const [connectedName, field, type] of [
      ["connected", "pricesKeepaliveMs", "price:stale"],
      ["CONNECTED", "prices_keepalive_ms", "PRICE_UPDATE"],
    ]) {
      const { last, clock, stream } = await connected(["stream"]);
      await last().send(`event: ${connectedName}\ndata: {"${field}":1000}\n\n`);
      await last().send(`event: ${type}\ndata: {"symbol":"IBM"}\n\n`);
      await clock.advance(3_000);
      equal(stream.state, SILENT, type);
      stream.close();
    }
  },

  async "a stream without prices may be silent"() {
    const { last, clock, stream } = await connected(["stream"]);
    await last().send('event: connected\ndata: {"keepaliveMs":30000,"pricesKeepaliveMs":1000}\n\n');
    await last().send("id: e-1\nevent: order:update\ndata: {}\n\n");
    await clock.advance(20_000);
    equal(stream.state, { name: "live" }, "state");
    stream.close();
  },

  async "a request without a response times out"() {
    const { clock, states, requests, stream } = await connected(["hang"]);
    await clock.advance(9_499);
    equal([states.length, requests()], [1, 2], "states and requests before: a stream, then a poll");
    await clock.advance(1);
    equal(states.at(-1).reason, "the server went silent", "reason");
    stream.close();
  },
};
