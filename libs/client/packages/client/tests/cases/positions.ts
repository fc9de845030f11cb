/** Which events are new, and where a stream resumes, as cases that run in Node and in Chromium: name → test. */

import { isNews } from "../../src/position.js";
import { type Cases, equal } from "../assert.js";
import { connected } from "../fakes.js";

export const cases: Cases = {
  async "events delivered before are dropped, events without an id never"() {
    const { last, events, stream } = await connected(["stream"], { lastEventId: "e-7" });
    equal(last().headers["Last-Event-ID"], "e-7", "resume id");
    for (const id of ["e-6", "e-7", "e-8", "e-8", "e-10", "e-9"]) {
      await last().send(`id: ${id}\ndata: 1\n\n`);
    }
    await last().send("event: price:update\ndata: 1\n\nevent: price:update\ndata: 1\n\n");
    equal(
      events.map(({ id }) => id),
      ["e-8", "e-10", null, null],
      "delivered",
    );
    equal(stream.lastEventId, "e-10", "position");
    stream.close();
  },

  async "a checkpoint advances the id and delivers no event"() {
    const { last, events, clock, stream } = await connected(["stream"]);
    await last().send("event: checkpoint\nid: e-40\ndata: {}\n\n");
    equal(events, [], "events");
    await last().end();
    await clock.advance(3000);
    equal(last().headers["Last-Event-ID"], "e-40", "resume id");
    stream.close();
  },

  async "a checkpoint never moves the id backwards"() {
    const { last, stream } = await connected(["stream"], { lastEventId: "e-7" });
    await last().send("event: checkpoint\nid: e-3\ndata: {}\n\nid: e-4\n\n");
    equal(stream.lastEventId, "e-7", "position");
    stream.close();
  },

  async "a reset clears the id and accepts a snapshot with an earlier one"() {
    const { last, events, stream } = await connected(["stream"], { lastEventId: "e-900" });
    await last().send('event: stream:reset\nid: e-900\ndata: {"reason":"ahead"}\n\n');
    equal(stream.lastEventId, "", "position between reset and snapshot");
    await last().send('event: order:update\nid: e-5\ndata: {"snapshot":true}\n\n');
    equal(
      events.map(({ type }) => type),
      ["stream:reset", "order:update"],
      "events",
    );
    equal(stream.lastEventId, "e-5", "position after the snapshot");
    stream.close();
  },

  async "a connection lost between reset and snapshot reconnects without an id"() {
    const { last, clock, stream } = await connected(["stream"], { lastEventId: "e-900" });
    await last().send('event: stream:reset\ndata: {"reason":"ahead"}\n\n');
    await last().fail();
    await clock.advance(10_000);
    equal(last().headers["Last-Event-ID"], undefined, "resume id");
    stream.close();
  },

  "an id is new if it is later or cannot be compared"() {
    const table: [string, string, boolean][] = [
      ["e-1", "", true],
      ["e-10", "e-9", true],
      ["e-9", "e-9", false],
      ["e-9", "e-10", false],
      ["f-1", "e-10", true],
      ["a-b-18446744073709551615", "a-b-18446744073709551614", true],
      ["x", "x", false],
      ["x", "e-1", true],
      ["17", "e-18", true],
    ];
    for (const [id, position, news] of table) {
      equal(isNews(id, position), news, `${id} after ${position || "nothing"}`);
    }
  },
};
