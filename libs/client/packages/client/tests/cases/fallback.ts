/**
 * The contract of `follow`, a stream with polling as its fallback, as cases that run in Node and in
 * Chromium: name → test.
 */

import { type PollResult, REOPEN_MS, STALL_MS } from "../../src/fallback.js";
import { POLL_INTERVAL_MS } from "../../src/poller.js";
import { ApiError, Unreachable } from "../../src/rest.js";
import { type Cases, equal } from "../assert.js";
import { atRest } from "../fakes.js";
import { following, LONG_ENOUGH_MS, untilPolling } from "../following.js";

const hello = "event: connected\ndata: {}\n\n";
const item = (n: number) => `event: item\nid: e-${n}\ndata: ${n}\n\n`;
const refused = (status: number) =>
  new ApiError({ error: "No", message: `no: ${status}`, statusCode: status }, null);
const otherUser = { error: "account_changed", message: "not yours", statusCode: 409 };
const refusal = (status: number) => () =>
  Response.json({ error: "No", message: "no stream", statusCode: status }, { status });

export const cases: Cases = {
  async "a stream is live after its first event, not when it is open"() {
    const { last, names, feed } = await following(["stream"]);
    equal(names(), ["connecting"], "states of an open stream");
    await last().send(hello);
    equal(names(), ["connecting", "live"], "states after its first event");
    feed.close();
  },

  async "a lost stream is retried with growing delays and then polled for"() {
    const at = await following(["stream", "down"]);
    await at.last().send(`retry: 5000\n${hello}`);
    await at.last().fail();
    await untilPolling(at);
    const waits = at.states.filter(
      ({ name, retryInMs }) => name === "reconnecting" && retryInMs > 0,
    );
    equal(
      waits.map(({ retryInMs, tries, of }) => [retryInMs, tries, of]),
      [
        [5750, 0, 2],
        [11500, 1, 2],
      ],
      "waits",
    );
    equal(at.now().reason, "TypeError: Failed to fetch", "why");
    await at.clock.advance(LONG_ENOUGH_MS);
    const later = at.states
      .filter(({ name }) => name === "polling")
      .map(({ retryInMs }) => retryInMs);
    equal(Math.max(...later) < 27_000, true, `it is tried again soon enough: ${later}`);
    at.feed.close();
  },

  async "a stream or poll of another user than the one who is signed in ends as signed out"() {
    const refusedStream = await following([() => Response.json(otherUser, { status: 409 })], {
      user: "dave",
    });
    equal(refusedStream.exchanges[0]?.headers["X-Tapewire-User"], "dave", "user of the stream");
    equal(refusedStream.names().at(-1), "signed-out", "state after the stream");
    const at = await following(["down"]);
    at.log.trouble = new ApiError(otherUser, null);
    await at.clock.advance(LONG_ENOUGH_MS);
    equal(at.names().at(-1), "signed-out", "state after the poll");
    equal(at.polls.length, 1, "polls");
  },

  async "no event is lost or repeated from stream to polling to stream"() {
    const at = await following(["stream", "down", "down", "down", "down", "stream"]);
    await at.last().send(hello + item(1) + item(2));
    at.log.length = 3; // appended while the connection breaks
    await at.last().fail();
    await untilPolling(at);
    await atRest();
    equal(at.items(), [1, 2, 3], "items of the stream and of the first poll");
    equal(at.polls[0], "e-2", "where the first poll began");
    at.log.length = 5;
    await at.clock.advance(POLL_INTERVAL_MS * 1.1);
    equal(at.items(), [1, 2, 3, 4, 5], "items of the next poll");
    while (at.requests() < 6) await at.clock.advance(POLL_INTERVAL_MS);
    equal(at.last().headers["Last-Event-ID"], "e-5", "where the stream goes on");
    await at.last().send(hello + item(6));
    equal(at.now(), { name: "live" }, "state");
    const asked = at.polls.length;
    await at.clock.advance(LONG_ENOUGH_MS);
    equal(at.items(), [1, 2, 3, 4, 5, 6], "items");
    equal(at.polls.length, asked, "polls after the stream's return");
    at.feed.close();
  },

  async "a poll result that arrives after the stream is live is discarded"() {
    let answer: (found: PollResult) => void = () => {};
    const poll = () =>
      new Promise<PollResult>((resolve) => {
        answer = resolve;
      });
    const at = await following(["down", "down", "stream"], { poll });
    await untilPolling(at);
    await at.clock.advance(LONG_ENOUGH_MS);
    await at.last().send(hello + item(1));
    answer({ events: [{ type: "item", data: 1, id: null }], asOf: "e-1", more: false });
    await atRest();
    await at.last().send(item(2));
    equal(at.items(), [1, 2], "items");
    at.feed.close();
  },

  async "an event of a poll is not delivered again by a stream that was requested earlier"() {
    const at = await following(["down", "down", "stream"], { lastEventId: "e-0" });
    await untilPolling(at);
    at.log.length = 2;
    while (at.exchanges.length === 0) await at.clock.advance(1000);
    equal(at.last().headers["Last-Event-ID"], "e-0", "where the stream was asked to begin");
    await at.clock.advance(POLL_INTERVAL_MS * 1.1);
    await at.last().send(hello + item(1) + item(2) + item(3));
    equal(at.items(), [1, 2, 3], "items");
    at.feed.close();
  },

  async "failed polls are reported, and the first success retries the stream at once"() {
    const at = await following(["down"]);
    at.log.trouble = new Unreachable("/items", null);
    await untilPolling(at);
    await atRest();
    equal(at.now().failing !== "", true, "it says that it fails");
    await at.clock.advance(POLL_INTERVAL_MS * 3);
    equal(at.polls.length, 3, "polls");
    const before = at.requests();
    const due = at.now().retryInMs;
    at.log.trouble = null;
    await at.clock.advance(POLL_INTERVAL_MS * 1.1);
    equal(at.polls.length, 4, "polls with one that succeeds");
    equal(at.now().failing, "", "what it says then");
    equal(at.requests() > before, true, `the stream was tried before ${due} ms were over`);
    at.feed.close();
  },

  async "an open stream without events is polled for until its first event"() {
    const at = await following(["stream"]);
    at.log.length = 1;
    await at.clock.advance(STALL_MS);
    equal(at.now().name, "polling", "state");
    equal(at.items(), [1], "items");
    await at.last().send(hello + item(1) + item(2));
    equal(at.now().name, "live", "state");
    equal(at.items(), [1, 2], "items");
    at.feed.close();
  },

  async "a rejected stream is polled for and retried later if calls are answered"() {
    const at = await following([refusal(403), refusal(405), "stream"]);
    equal(at.now().name, "polling", "state");
    at.log.length = 1;
    await at.clock.advance(REOPEN_MS);
    equal(at.items(), [1], "items");
    await at.clock.advance(REOPEN_MS);
    equal(at.requests(), 3, "requests for the stream");
    equal(at.last().headers["Last-Event-ID"], "e-1", "where it goes on");
    await at.last().send(hello + item(2));
    equal(at.now().name, "live", "state");
    equal(at.items(), [1, 2], "items");
    at.feed.close();
    await atRest();
    equal(at.clock.pending, 0, "timers left behind");
  },

  async "a rejection of both stream and calls is final"() {
    for (const [status, name] of [
      [404, "closed"],
      [401, "signed-out"],
    ] as const) {
      const poll = async () => {
        throw refused(status);
      };
      const at = await following([refusal(404)], { poll });
      equal(at.now().name, name, `state after ${status}`);
      equal(at.now().reason, `no: ${status}`, "reason");
      await at.clock.advance(LONG_ENOUGH_MS);
      equal(at.requests(), 1, "requests");
      equal(at.clock.pending, 0, "timers left behind");
    }
  },

  async "a stream closed by the connection limit polls until retryNow reopens it"() {
    const at = await following(["stream"]);
    await at.last().send(`${hello}event: connection:limit\ndata: {}\n\n`);
    equal([at.now().name, at.now().retryInMs], ["polling", null], "state");
    at.log.length = 1;
    await at.clock.advance(LONG_ENOUGH_MS);
    equal([at.items(), at.requests()], [[1], 1], "items, requests");
    at.feed.retryNow();
    await atRest();
    equal(at.requests(), 2, "requests when told to");
    at.feed.close();
  },

  async "every loss starts again with the first try"() {
    const at = await following(["stream", "down", "stream", "down"]);
    await at.last().send(`retry: 1000\n${hello}`);
    await at.last().fail();
    while (at.exchanges.length < 2) await at.clock.advance(1000);
    await at.last().send(hello);
    await at.last().fail();
    equal([at.now().name, at.now().tries], ["reconnecting", 0], "state after the second loss");
    await at.clock.advance(at.now().retryInMs);
    equal([at.now().name, at.now().tries], ["reconnecting", 1], "state after a try");
    at.feed.close();
  },

  async "a successful poll retries the stream early only after a failed poll"() {
    const at = await following(["down"]);
    await untilPolling(at);
    await at.clock.advance(LONG_ENOUGH_MS);
    const tried = at.requests();
    while (at.requests() === tried) await at.clock.advance(500);
    // The next retry of the stream is about 23 s away.
    const polls = at.polls.length;
    await at.clock.advance(POLL_INTERVAL_MS * 1.1);
    equal([at.polls.length, at.requests()], [polls + 1, tried + 1], "polls, tries of the stream");
    at.log.trouble = new Unreachable("/items", null);
    await at.clock.advance(POLL_INTERVAL_MS * 1.1);
    equal(
      [at.requests(), at.now().failing !== ""],
      [tried + 1, true],
      "tries, and that a poll failed",
    );
    at.log.trouble = null;
    await at.clock.advance(POLL_INTERVAL_MS * 1.1);
    equal(at.requests(), tried + 2, "tries of the stream");
    at.feed.close();
  },

  async "an incomplete poll is followed by the next at once"() {
    const polls: string[] = [];
    const poll = async (since: string) => {
      polls.push(since);
      const n = polls.length;
      return { events: [{ type: "item", data: n, id: null }], asOf: `e-${n}`, more: n < 3 };
    };
    const at = await following(["down"], { poll });
    await untilPolling(at);
    await at.clock.advance(0);
    await at.clock.advance(0);
    equal(polls, ["", "e-1", "e-2"], "polls");
    equal(at.items(), [1, 2, 3], "items");
    at.feed.close();
  },

  async "polls wait for the Retry-After of the server"() {
    const at = await following(["down"]);
    const busy = { error: "Busy", message: "later", statusCode: 503 };
    at.log.trouble = new ApiError(busy, POLL_INTERVAL_MS * 4);
    await untilPolling(at);
    await at.clock.advance(POLL_INTERVAL_MS * 3);
    equal(at.polls.length, 1, "polls before");
    await at.clock.advance(POLL_INTERVAL_MS * 2);
    equal(at.polls.length, 2, "polls after");
    at.feed.close();
  },

  async "an error thrown by the page does not stop the polling"() {
    const thrown: string[] = [];
    const microtask = globalThis.queueMicrotask;
    globalThis.queueMicrotask = (run) =>
      microtask(() => {
        try {
          run();
        } catch (error) {
          thrown.push(String(error));
        }
      });
    try {
      const onEvent = () => {
        throw new Error("the page's own");
      };
      const at = await following(["down"], { onEvent });
      at.log.length = 1;
      await untilPolling(at);
      await at.clock.advance(POLL_INTERVAL_MS * 2.2);
      equal(thrown, ["Error: the page's own"], "what the console is told");
      equal(at.polls.slice(0, 3), ["", "e-1", "e-1"], "polls");
      at.feed.close();
    } finally {
      globalThis.queueMicrotask = microtask;
    }
  },

  async "after close there are no events, timers or requests"() {
    const at = await following(["down"]);
    await untilPolling(at);
    at.feed.close();
    const [told, asked] = [at.states.length, at.polls.length];
    await at.clock.advance(LONG_ENOUGH_MS);
    at.feed.retryNow();
    await atRest();
    equal([at.states.length, at.polls.length], [told, asked], "states, polls");
    equal(at.clock.pending, 0, "timers left behind");
  },
};
