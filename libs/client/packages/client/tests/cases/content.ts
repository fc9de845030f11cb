/** Changes of what an open stream shows, as cases that run in Node and in Chromium: name → test. */

import { changeUrl, type UpdatedContent, urlOfContent } from "../../src/content.js";
import { connect } from "../../src/tapewire.js";
import { type Cases, equal, rejection } from "../assert.js";
import { connected } from "../fakes.js";

const URL = "/api/stream?topics=orders";
const CONNECTED = 'retry: 1000\nevent: connected\ndata: {"clientId":"al/ice-topics-7"}\n\n';
const CONTENT = { topics: ["orders", "prices"], symbols: ["IBM", "SPY"], maxRate: 2 };
const UPDATED = `event: stream:updated\nid: e-9\ndata: ${JSON.stringify(CONTENT)}\n\n`;
const confirmed = () => Response.json(CONTENT);
const refused = () =>
  Response.json(
    { error: "No", message: "no topic", statusCode: 422, path: "topics[0]" },
    { status: 422 },
  );
const query = (url: string) => Object.fromEntries(new URLSearchParams(url.split("?")[1]));

export const cases: Cases = {
  async "a change goes to the open stream, and a reconnection asks for the new content"() {
    const { stream, exchanges, last, events, clock } = await connected(
      ["stream", confirmed, "stream"],
      { headers: { Authorization: "Bearer t" } },
      (all) => connect(URL, all),
    );
    await last().send(CONNECTED);
    equal(
      await stream.update({ topics: ["orders", "prices:IBM", "prices:SPY"] }),
      CONTENT,
      "answer",
    );
    equal(exchanges[1].url, "/api/stream/al%2Fice-topics-7", "address");
    equal(exchanges[1].headers.Authorization, "Bearer t", "credentials");
    await exchanges[0].send(UPDATED);
    equal(events.at(-1), { type: "stream:updated", data: CONTENT, id: "e-9" }, "told to the page");
    await exchanges[0].end();
    await clock.advance(1000);
    equal(
      query(last().url),
      { topics: "orders,prices:IBM,prices:SPY", maxRate: "2", handover: "1", lastEventId: "e-9" },
      "new request",
    );
    equal(last().headers["Last-Event-ID"], "e-9", "resume id");
    stream.close();
  },

  async "a stream that is lost before its change takes effect comes back with the old content"() {
    const { stream, exchanges, last, clock } = await connected(
      ["stream", confirmed, "stream"],
      {},
      (all) => connect(URL, all),
    );
    await last().send(`${CONNECTED}id: e-5\ndata: 1\n\n`);
    await stream.update({ maxRate: 2 });
    await exchanges[0].end();
    await clock.advance(1000);
    equal(
      [query(last().url), last().headers["Last-Event-ID"]],
      [{ topics: "orders", handover: "1", lastEventId: "e-5" }, "e-5"],
      "request",
    );
    stream.close();
  },

  async "a change that is refused is an error with the path, and changes nothing"() {
    const { stream, last } = await connected(["stream", refused]);
    await last().send(CONNECTED);
    const error = await rejection(stream.update({ topics: ["x"] }));
    equal([error.name, error.statusCode, error.path], ["ApiError", 422, "topics[0]"], "error");
    equal(stream.state.name, "live", "state");
    stream.close();
  },

  "the URL has the new content, in the form of its stream"() {
    const table: [string, UpdatedContent, string][] = [
      [
        "/api/stream?topics=orders",
        { topics: ["alerts"], symbols: null, maxRate: 10 },
        "/api/stream?topics=alerts&maxRate=10",
      ],
      [
        "/api/stream/?topics=prices:A&x=1#y",
        { topics: ["prices", "orders"], symbols: null, maxRate: 1 },
        "/api/stream/?topics=prices%2Corders&x=1&maxRate=1",
      ],
      [
        "/api/stream/prices?symbols=A",
        { topics: ["prices"], symbols: ["B", "C"], maxRate: 0.5 },
        "/api/stream/prices?symbols=B%2CC&maxRate=0.5",
      ],
      [
        "/sse/prices?symbols=A&maxRate=3",
        { topics: ["prices"], symbols: null, max_rate: 10 },
        "/sse/prices?maxRate=10",
      ],
      [
        "https://edge.test:81/api/stream?topics=orders",
        { topics: ["prices"], symbols: ["A"], maxRate: 2 },
        "https://edge.test:81/api/stream?topics=prices%3AA&maxRate=2",
      ],
    ];
    for (const [url, content, expected] of table) equal(urlOfContent(url, content), expected, url);
    equal(
      changeUrl("https://edge.test:81/api/stream?x=//y", "a b"),
      "https://edge.test:81/api/stream/a%20b",
      "call",
    );
    equal(changeUrl("/api/stream", ""), "/api/stream/none", "call without a stream");
  },
};
