/**
 * What a client does when something on the way holds the stream back, as cases that run in Node and
 * in Chromium: name → test. "buffered" is a stream of which nothing arrives.
 */

import { STREAM_AGAIN_MS } from "../../src/handover.js";
import { POLL_WAIT_SECONDS } from "../../src/poll-request.js";
import { BUFFERING_TIMEOUT_MS } from "../../src/stream-request.js";
import { type Cases, equal } from "../assert.js";
import { type Answer, connected } from "../fakes.js";

const MAX_FIND_MS = 5_000;
const CONNECTED = 'event: connected\ndata: {"clientId":"c"}\n\n';
const order = (number: number) => ({
  id: `e-${number}`,
  event: "order:update",
  data: { n: number },
});
const frame = (number: number) => `event: order:update\nid: e-${number}\ndata: {"n":${number}}\n\n`;

/** The answer to a poll. */
const polled =
  (lastEventId: string | null, ...events: object[]) =>
  () =>
    Response.json({ events, lastEventId, retry: 0 });

/**
 * A connection whose stream is held back until it polls.
 *
 * @param answers  to the polls and later streams
 */
async function polling(answers: readonly Answer[], options: object = {}) {
  const made = await connected(["buffered", ...answers], options);
  await made.clock.advance(BUFFERING_TIMEOUT_MS);
  const numbers = () => made.events.filter(({ id }) => id).map(({ data }) => data.n);
  return { ...made, numbers };
}

export const cases: Cases = {
  async "a response that has begun and brings nothing is replaced by polls within five seconds"() {
    equal(BUFFERING_TIMEOUT_MS < MAX_FIND_MS, true, "in time");
    const { exchanges, events, names, states, stream } = await polling([
      polled("e-7", { id: null, event: "connected", data: {} }, order(7)),
      "hang",
    ]);
    equal(exchanges[0].aborted, true, "the stream is given up");
    equal(exchanges[1].url, "/api/stream/trading?wait=0", "the first poll does not wait");
    equal(exchanges[1].headers.Accept, "application/json", "what it asks for");
    equal(
      events.map(({ type, id }) => [type, id]),
      [
        ["connected", null],
        ["order:update", "e-7"],
      ],
      "events",
    );
    equal([names(), states.at(-1).isPolling], [["connecting", "live", "live"], true], "states");
    stream.close();
  },

  async "a response that does not begin is replaced by polls too"() {
    const { clock, exchanges, stream } = await connected(["hang", polled("e-1"), "hang"]);
    await clock.advance(BUFFERING_TIMEOUT_MS);
    equal(exchanges[1].url, "/api/stream/trading?wait=0", "request");
    equal(stream.lastEventId, "e-1", "position");
    stream.close();
  },

  async "a stream that stops before it has caught up is replaced by polls, which go on by its id"() {
    const made = await connected(["buffered", polled("e-9", order(9)), "hang"]);
    await made.last().send(`retry: 5000\n\n${CONNECTED}${frame(8)}`);
    await made.clock.advance(BUFFERING_TIMEOUT_MS);
    equal(made.exchanges[1].headers["Last-Event-ID"], "e-8", "resume id");
    equal(
      made.events.map(({ id }) => id),
      [null, "e-8", "e-9"],
      "delivered",
    );
    made.stream.close();
  },

  async "a stream that begins slowly but steadily is not given up"() {
    const { last, clock, requests, stream } = await connected(["buffered"]);
    for (let part = 1; part < 9; part += 1) {
      await clock.advance(BUFFERING_TIMEOUT_MS - 1);
      await last().send(frame(part));
    }
    await last().send(": live\n\n");
    await clock.advance(BUFFERING_TIMEOUT_MS * 3);
    equal([requests(), stream.lastEventId], [1, "e-8"], "requests and position");
    stream.close();
  },

  async "where streams are known to be held back, it polls at once, and tries streams later"() {
    const answers = [polled("e-7", order(7)), "hang", "buffered"] as const;
    const { clock, exchanges, states, stream } = await connected([...answers], { polls: true });
    equal(exchanges[0].url, "/api/stream/trading?wait=0", "the first request");
    equal([states.at(-1).isPolling, stream.lastEventId], [true, "e-7"], "state and position");
    await clock.advance(2 * STREAM_AGAIN_MS);
    const accepted = exchanges.map(({ headers }) => headers.Accept);
    equal(accepted.includes("text/event-stream"), true, "a stream is tried");
    stream.close();
  },

  async "polls have caught up with the snapshot, not with a reset before it"() {
    const log: string[] = [];
    const reset = { id: null, event: "stream:reset", data: { reason: "epoch" } };
    const logged = (name: string, answer: () => Response) => () => {
      log.push(name);
      return answer();
    };
    const { clock, stream } = await polling(
      [
        logged("reset", polled(null, reset)),
        logged("snapshot", polled("e-7", order(7))),
        logged("news", polled("e-8", order(8))),
        "hang",
      ],
      { onCaughtUp: () => log.push("caught up") },
    );
    await clock.advance(0);
    equal(log, ["reset", "snapshot", "caught up", "news"], "order");
    stream.close();
  },

  async "each poll continues from the last id and waits"() {
    const { exchanges, numbers, stream } = await polling([
      polled("e-7", order(7)),
      polled("e-12", order(9)),
      polled("e-12"),
      "hang",
    ]);
    equal(
      exchanges.slice(1).map(({ url, headers }) => [url, headers["Last-Event-ID"]]),
      [
        ["/api/stream/trading?wait=0", undefined],
        [`/api/stream/trading?wait=${POLL_WAIT_SECONDS}&lastEventId=e-7`, "e-7"],
        [`/api/stream/trading?wait=${POLL_WAIT_SECONDS}&lastEventId=e-12`, "e-12"],
        [`/api/stream/trading?wait=${POLL_WAIT_SECONDS}&lastEventId=e-12`, "e-12"],
      ],
      "requests",
    );
    equal(numbers(), [7, 9], "delivered");
    stream.close();
  },

  async "polls are as far apart as the server asks"() {
    const slow = () => Response.json({ events: [], lastEventId: "e-1", retry: 1500 });
    const { clock, requests, stream } = await polling([slow, "hang"]);
    await clock.advance(1499);
    equal(requests(), 2, "requests before the time");
    await clock.advance(1);
    equal(requests(), 3, "requests after it");
    stream.close();
  },

  async "a reset in an answer starts again with the snapshot that follows"() {
    const reset = { id: null, event: "stream:reset", data: { reason: "trimmed" } };
    const { events, stream } = await polling(
      [polled("f-3", reset, { ...order(3), id: "f-3" }), "hang"],
      { lastEventId: "e-900" },
    );
    equal(
      events.map(({ type }) => type),
      ["stream:reset", "order:update"],
      "events",
    );
    equal(stream.lastEventId, "f-3", "position");
    stream.close();
  },

  async "final events in an answer end the connection as on a stream"() {
    for (const [event, name] of [
      ["auth:expired", "signed-out"],
      ["connection:limit", "closed"],
    ]) {
      const { clock, names, requests } = await polling([
        polled("e-1", { id: null, event, data: {} }),
      ]);
      await clock.advance(600_000);
      equal([names().at(-1), requests(), clock.pending], [name, 2, 0], event);
    }
  },

  async "a poll that is refused for good ends the connection, and one that fails is tried again"() {
    const refused = () => Response.json({ message: "no", statusCode: 401 }, { status: 401 });
    equal((await polling([refused])).names().at(-1), "signed-out", "state");
    const { clock, last, states, numbers, stream } = await polling(["down", "stream"]);
    equal(states.at(-1).name, "reconnecting", "state after a failure");
    await clock.advance(states.at(-1).retryInMs);
    equal(states.at(-1), { name: "live" }, "it streams if it can");
    await last().send(frame(1));
    equal(numbers(), [1], "delivered");
    stream.close();
  },

  async "it returns to a stream that flows, without losing or repeating an event"() {
    const next = await polling([
      polled("e-7", order(7)),
      () => Response.json({ events: [], lastEventId: "e-7", retry: STREAM_AGAIN_MS * 2 }),
      "buffered",
    ]);
    await next.clock.advance(STREAM_AGAIN_MS * 1.5);
    equal(next.last().url, "/api/stream/trading?handover=1&lastEventId=e-7", "a stream is tried");
    equal(next.last().headers["Last-Event-ID"], "e-7", "resume id");
    await next.last().send(CONNECTED + frame(8));
    equal(
      [next.numbers(), next.states.at(-1).isPolling],
      [[7], true],
      "not before it has caught up",
    );
    await next.last().send(`: live\n\n${frame(9)}`);
    equal([next.numbers(), next.states.at(-1)], [[7, 8, 9], { name: "live" }], "after it");
    next.stream.close();
  },

  async "a trial stream that is held back too leaves the polling as it is"() {
    const rest = () =>
      Response.json({ events: [], lastEventId: "e-7", retry: STREAM_AGAIN_MS * 2 });
    const { clock, exchanges, requests, states, numbers, stream } = await polling([
      rest,
      "buffered",
      polled("e-8", order(8)),
      "hang",
    ]);
    await clock.advance(STREAM_AGAIN_MS * 1.5 + BUFFERING_TIMEOUT_MS);
    equal([requests(), exchanges[2].aborted], [3, true], "the trial is given up");
    equal(states.at(-1), { name: "live", isPolling: true }, "state");
    await clock.advance(STREAM_AGAIN_MS / 2);
    equal(numbers(), [8], "delivered by the next poll");
    stream.close();
  },

  async "a draining server's notice is no event, and closing leaves nothing behind"() {
    const notice = { id: null, event: "stream:draining", data: { closesInMs: 5000 } };
    const { clock, events, requests, stream } = await polling([polled("e-1", notice), "hang"]);
    equal([events, requests()], [[], 3], "events and requests");
    stream.close();
    await clock.advance(600_000);
    equal([clock.pending, requests()], [0, 3], "timers and requests");
  },
};
