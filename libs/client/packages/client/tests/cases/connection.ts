/**
 * The contract of `connect`, as cases that run in Node and in Chromium: name → test.
 */

import { delayBefore } from "../../src/delay.js";
import { resumeUrl } from "../../src/stream-request.js";
import { type Cases, equal } from "../assert.js";
import { connected } from "../fakes.js";

const refusal =
  (status: number, headers = {}) =>
  () =>
    Response.json({ error: "No", message: "not now", statusCode: status }, { status, headers });

/** The answer to a request that is meant for another user than the one who is signed in. */
const otherUser = () =>
  Response.json(
    {
      error: "account_changed",
      message: "not yours",
      statusCode: 409,
      path: "X-Tapewire-User",
      value: "dave",
    },
    { status: 409 },
  );

export const cases: Cases = {
  async "events are delivered decoded, with type and id"() {
    const { last, events, names, stream } = await connected(["stream"]);
    await last().send('retry: 5000\n\nevent: order:update\nid: e-7\ndata: {"qty":1}\n\n');
    await last().send("data: not json\n\n");
    equal(names(), ["connecting", "live"], "states");
    equal(
      events,
      [
        { type: "order:update", data: { qty: 1 }, id: "e-7" },
        { type: "message", data: "not json", id: null },
      ],
      "events",
    );
    equal(stream.lastEventId, "e-7", "position");
    stream.close();
  },

  async "the page hears when the opening of each stream is complete"() {
    let count = 0;
    const { last, clock, events, stream } = await connected(["buffered"], {
      onCaughtUp: () => (count += 1),
    });
    await last().send("event: connected\ndata: {}\n\nid: e-7\ndata: 1\n\n");
    equal([events.length, count], [2, 0], "while it opens");
    await last().send(": live\n\n");
    equal(count, 1, "at its end");
    await last().end();
    await clock.advance(5_000);
    equal(count, 1, "while the next one opens");
    await last().send("event: connected\ndata: {}\n\n: live\n\n");
    equal(count, 2, "after a reconnect");
    stream.close();
  },

  async "after a clean end the client reconnects after exactly retry and resumes by id"() {
    const { last, clock, exchanges, states, stream } = await connected(["stream"]);
    equal(exchanges[0].headers["Last-Event-ID"], undefined, "first request");
    await last().send("retry: 5000\nid: e-7\ndata: 1\n\n");
    await last().end();
    equal(states.at(-1).retryInMs, 5000, "announced wait");
    await clock.advance(4999);
    equal(exchanges.length, 1, "requests before the time");
    await clock.advance(1);
    equal(exchanges.length, 2, "requests after it");
    equal(exchanges[1].headers["Last-Event-ID"], "e-7", "resume id");
    stream.close();
  },

  async "a replay ends with its last event, which has the id of the one before, and asks for nothing more"() {
    const { last, clock, exchanges, events, names, stream } = await connected(["stream"]);
    await last().send("id: e-7\ndata: 1\n\n");
    await last().send('event: replay:complete\nid: e-7\ndata: {"untilId":"e-9"}\n\n');
    equal(
      events.map(({ type }) => type),
      ["message", "replay:complete"],
      "events",
    );
    equal([names().at(-1), stream.lastEventId], ["closed", "e-7"], "end");
    await clock.advance(600_000);
    equal(exchanges.length, 1, "requests");
  },

  async "an empty replay ends too, and no other event with a known id is repeated"() {
    const empty = await connected(["stream"], { lastEventId: "e-7" });
    await empty.last().send('event: replay:complete\nid: e-7\ndata: {"untilId":"e-9"}\n\n');
    equal([empty.events.length, empty.names().at(-1)], [1, "closed"], "an empty one");
    const live = await connected(["stream"], { lastEventId: "e-7" });
    await live.last().send("event: order:update\nid: e-7\ndata: 1\n\n");
    equal([live.events.length, live.names().at(-1)], [0, "live"], "a repeated order");
    live.stream.close();
  },

  async "the query of a resumed stream says the id too, for proxies that remove the header"() {
    for (const [given, resumed] of [
      ["/s", "/s?lastEventId=e-7"],
      ["/s#top", "/s?lastEventId=e-7"],
      ["/s?", "/s?lastEventId=e-7"],
      ["/s?topics=orders,prices:A%26B", "/s?topics=orders,prices:A%26B&lastEventId=e-7"],
      ["/s?lastEventId=e-1&maxRate=2", "/s?maxRate=2&lastEventId=e-7"],
      ["/s?last_event_id=e-1", "/s?lastEventId=e-7"],
      ["/s?a=b?c", "/s?a=b?c&lastEventId=e-7"],
    ]) {
      equal(resumeUrl(given, "e-7"), resumed, given);
    }
    const { last, clock, exchanges, stream } = await connected(["stream"]);
    equal(exchanges[0].url.includes("lastEventId"), false, "first request");
    await last().send("retry: 1000\nid: e-7\ndata: 1\n\n");
    await last().end();
    await clock.advance(1000);
    equal(exchanges[1].url, resumeUrl(exchanges[0].url, "e-7"), "second request");
    stream.close();
  },

  async "the delay grows with each failure until an event arrives"() {
    const { clock, states, last, stream } = await connected([
      "down",
      "down",
      "down",
      "down",
      "down",
      "stream",
    ]);
    for (let tries = 0; tries < 5; tries += 1) await clock.advance(30_000);
    const waits = states.filter(({ name }) => name === "reconnecting");
    equal(
      waits.map(({ retryInMs }) => retryInMs),
      [3750, 7500, 15_000, 25_000, 25_000],
      "waits, with a quarter of jitter",
    );
    await last().send("retry: 1000\ndata: 1\n\n");
    await last().fail();
    equal(states.at(-1).retryInMs, 1250, "wait after a success");
    stream.close();
  },

  async "401 stops the stream as signed out"() {
    const { clock, states, requests } = await connected([refusal(401)]);
    equal(states.at(-1), { name: "signed-out", reason: "not now" }, "state");
    await clock.advance(600_000);
    equal(requests(), 1, "requests");
    equal(clock.pending, 0, "timers left behind");
  },

  async "a stream names its user on every request, percent-encoded"() {
    const user = "Zoë 50%";
    const { last, clock, exchanges, stream } = await connected(["stream"], { user });
    await last().send("retry: 1000\nid: e-7\ndata: 1\n\n");
    await last().end();
    await clock.advance(1000);
    const names = exchanges.map(({ headers }) => headers["X-Tapewire-User"]);
    equal(names, ["Zo%C3%AB%2050%25", "Zo%C3%AB%2050%25"], "users");
    stream.close();
  },

  async "a stream for nobody in particular names no user"() {
    const { exchanges, stream } = await connected(["stream"]);
    equal("X-Tapewire-User" in exchanges[0].headers, false, "has a user");
    stream.close();
  },

  async "a stream of another user than the one who is signed in stops as signed out"() {
    const { last, clock, names, requests } = await connected(["stream", otherUser], {
      user: "dave",
    });
    await last().send("retry: 1000\nid: e-7\ndata: 1\n\n");
    await last().end();
    await clock.advance(600_000);
    equal(names().at(-1), "signed-out", "state");
    equal(requests(), 2, "requests");
  },

  async "another conflict closes the stream, and is no change of user"() {
    const { states } = await connected([refusal(409)], { user: "dave" });
    equal([states.at(-1).name, states.at(-1).error.isAccountChanged], ["closed", false], "state");
  },

  async "an expired session stops the stream as signed out and delivers nothing more"() {
    const { last, events, names, clock, requests } = await connected(["stream"]);
    await last().send("event: auth:expired\ndata: {}\n\ndata: late\n\n");
    equal(
      events.map(({ type }) => type),
      ["auth:expired"],
      "events",
    );
    equal(names().at(-1), "signed-out", "state");
    equal(last().aborted, true, "request given up");
    await clock.advance(600_000);
    equal(requests(), 1, "requests");
  },

  async "the connection limit closes the stream without reconnecting"() {
    const { last, states } = await connected(["stream"]);
    await last().send("event: connection:limit\ndata: {}\n\n");
    const closed = { name: "closed", reason: "too many connections", error: null };
    equal(states.at(-1), closed, "state");
  },

  async "429 and 503 wait at least as long as Retry-After"() {
    for (const status of [429, 503]) {
      const busy = refusal(status, { "Retry-After": "12" });
      const { states, clock, exchanges, stream } = await connected([busy, "stream"]);
      equal(states.at(-1).retryInMs, 15_000, `wait after ${status}`);
      await clock.advance(11_999);
      equal(exchanges.length, 1, "requests before the time");
      await clock.advance(3001);
      equal(stream.state.name, "live", "state");
      stream.close();
    }
  },

  async "404 closes the stream with the error"() {
    const { states } = await connected([refusal(404)]);
    equal(states.at(-1).name, "closed", "state");
    equal(states.at(-1).error.statusCode, 404, "status");
  },

  async "a response other than an event stream is a failure"() {
    const page = () => new Response("<p>", { headers: { "Content-Type": "text/html" } });
    const { states, stream } = await connected([page]);
    equal(states.at(-1).name, "reconnecting", "state");
    equal(states.at(-1).reason, "the answer is text/html, no stream", "reason");
    stream.close();
  },

  async "close stops everything and reports one closed state"() {
    const { last, stream, events, names, clock } = await connected(["stream"]);
    stream.close();
    stream.close();
    await clock.advance(600_000);
    equal(names(), ["connecting", "live", "closed"], "states");
    equal(last().aborted, true, "request given up");
    equal(events, [], "events");
    equal(clock.pending, 0, "timers left behind");
  },

  async "close during a reconnect delay cancels the reconnect"() {
    const { stream, clock, names, requests } = await connected(["down"]);
    stream.close();
    await clock.advance(600_000);
    equal(names(), ["connecting", "reconnecting", "closed"], "states");
    equal(requests(), 1, "requests");
  },

  async "retryNow ends the reconnect delay"() {
    const { stream, clock } = await connected(["down", "stream"]);
    stream.retryNow();
    await clock.advance(0);
    equal(stream.state.name, "live", "state");
    equal(clock.pending, 1, "timers: the watchdog's");
    stream.close();
  },

  "delays stay within their bounds"() {
    const base = { retryMs: 5000, retryAfterMs: null, random: 0.999_999 } as const;
    const most = delayBefore({ kind: "failed", failures: 99, ...base });
    equal(most, 30_000, "at most 30 s between two tries");
    equal(delayBefore({ ...base, kind: "ended", failures: 0, retryMs: 0 }), 100, "no hot loop");
    equal(delayBefore({ ...base, kind: "ended", failures: 0, retryMs: 1e12 }), 600_000, "capped");
    equal(
      delayBefore({ kind: "failed", failures: 1, ...base, retryMs: 45_000, random: 0 }),
      45_000,
      "a longer retry is honoured",
    );
  },
};
