/**
 * Quotes across a change of connections, as cases that run in Node and in Chromium: name → test.
 * `old` is the closing connection, `next` replaces it.
 */

import { type Cases, equal } from "../assert.js";
import type { Json } from "../fakes.js";
import { CONNECTED, LIVE, leaving } from "../leaving.js";

const quote = (price: number, second: string, symbol = "IBM") =>
  `event: price:update\ndata: ${JSON.stringify(told(price, second, symbol))}\n\n`;
const told = (price: number, second: string, symbol = "IBM") => ({
  symbol,
  price,
  timestamp: `2026-03-02T14:30:${second}Z`,
});

export const cases: Cases = {
  async "quotes never go back in time, and the newest is not lost"() {
    const { old, last, prices, clock, stream } = await leaving(["stream"]);
    await old.send(quote(101, "02.5"));
    await last().send(CONNECTED + quote(100, "02"));
    await old.send(quote(103, "04"));
    await last().send(quote(102, "03") + LIVE);
    equal(prices(), [101, 103], "older quotes are not delivered");
    await last().send(quote(104, "04.25") + quote(105, "05") + quote(90, "01", "SPY"));
    equal(prices(), [101, 103, 104, 105, 90], "newer quotes and other symbols are delivered");
    await last().send(quote(99, "00"));
    equal(prices().at(-1), 99, "after catching up, an older quote is accepted");
    await clock.advance(0);
    stream.close();
  },

  async "a quote of a clock that is ahead or was set back holds no later one back"() {
    const { old, last, prices, stream } = await leaving(["stream"]);
    await old.send(quote(150, "59"));
    await last().send(CONNECTED + quote(90, "03") + LIVE);
    equal(prices(), [150, 90], "a quote that is dated a minute ahead");
    await last().send(quote(80, "03") + quote(70, "01"));
    equal(prices(), [150, 90, 80, 70], "one timestamp, and an earlier one");
    stream.close();
  },

  async "an older quote in a list is replaced by the newer one"() {
    const { old, last, events, stream } = await leaving(["stream"]);
    await old.send(quote(103, "04"));
    const prices = [told(100, "02"), told(90, "02", "SPY")];
    const list = JSON.stringify({ initializing: true, prices });
    await last().send(`${CONNECTED}event: price:update\ndata: ${list}\n\n${LIVE}`);
    equal(
      events.at(-1)?.data.prices.map(({ price }: Json) => price),
      [103, 90],
      "list",
    );
    stream.close();
  },

  async "a later quote does not undo a newer one of a list"() {
    const { old, last, prices, stream } = await leaving(["stream"]);
    const list = JSON.stringify({ initializing: true, prices: [told(103, "04")] });
    await old.send(`event: price:update\ndata: ${list}\n\n`);
    await last().send(CONNECTED + LIVE + quote(102, "03") + quote(103, "04"));
    equal(prices(), [undefined, 103], "shown");
    stream.close();
  },

  async "quotes of a restarted market are accepted after a while"() {
    const { old, last, prices, clock, stream } = await leaving(["stream"]);
    await old.send(quote(103, "04"));
    await last().send(CONNECTED + LIVE + quote(100, "01"));
    equal(prices(), [103], "first it is taken for an older quote");
    await clock.advance(4999);
    await last().send(quote(100, "02"));
    equal(prices(), [103], "not yet");
    await clock.advance(1);
    await last().send(quote(101, "02"));
    equal(prices(), [103, 101], "then it is accepted");
    stream.close();
  },
};
