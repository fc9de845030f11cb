/** Bearer tokens and aborts of connections, as cases that run in Node and in Chromium: name → test. */

import { type FollowOptions, follow } from "../../src/fallback.js";
import { ASK_AGAIN_MS } from "../../src/token-renewal.js";
import { type Cases, equal } from "../assert.js";
import { type Answer, atRest, connected } from "../fakes.js";
import { CONNECTED, LIVE, order } from "../leaving.js";
import { jwt, tokens, withWallClock } from "../tokens.js";

const LIFE_MS = 600_000;
const EXPIRED = 'event: auth:expired\ndata: {"reason":"EXPIRED"}\n\n';
const LIMIT = "event: connection:limit\ndata: {}\n\n";
const refused = () => Response.json({ message: "no", statusCode: 401 }, { status: 401 });

/** A live connection with a JWT of ten minutes, and the time of both clocks. */
async function renewing(
  answers: readonly Answer[],
  run: (at: Awaited<ReturnType<typeof started>>) => Promise<void>,
): Promise<void> {
  await withWallClock(async (advance, now) => {
    const at = await started(answers, now);
    const pass = async (milliseconds: number): Promise<void> => {
      advance(milliseconds);
      await at.clock.advance(milliseconds);
    };
    await run({ ...at, pass });
    at.stream.close();
    await atRest();
    equal(at.clock.pending, 0, "timers left behind");
  });
}

async function started(answers: readonly Answer[], now: () => number) {
  const { token, asked } = tokens(
    jwt(now() + LIFE_MS, 1),
    jwt(now() + 2 * LIFE_MS, 2),
    jwt(now() + 3 * LIFE_MS, 3),
  );
  const made = await connected(answers, { token, keepaliveMs: LIFE_MS });
  await made.last().send(CONNECTED + order(7));
  const numbers = () => made.events.filter(({ id }) => id).map(({ data }) => data.n);
  const ids = () => made.exchanges.map(({ headers }) => tokenNumber(headers.Authorization ?? ""));
  return { ...made, asked, numbers, ids, pass: made.clock.advance };
}

const tokenNumber = (authorization: string): number =>
  Number(
    JSON.parse(atob((authorization.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/")))
      .jti,
  );

export const cases: Cases = {
  async "a stream, its polls and its changes have the token"() {
    const { token, asked } = tokens("a");
    const answer = () => Response.json({ events: [], lastEventId: null, retry: 0 });
    const { exchanges, clock, stream } = await connected(["buffered", answer, "hang"], { token });
    await clock.advance(2_500);
    equal(
      exchanges.map(({ headers }) => headers.Authorization),
      Array(3).fill("Bearer a"),
      "stream and polls",
    );
    void stream.update({ maxRate: 1 }).catch(() => {});
    await atRest();
    equal([exchanges.at(-1)?.headers.Authorization, asked()], ["Bearer a", 1], "change");
    stream.close();
  },

  async "a stream that is refused asks for one more token, and ends as signed out if that is refused too"() {
    const { token, asked } = tokens("a", "b", "c");
    const { exchanges, stream } = await connected([refused, "stream"], { token });
    equal(stream.state.name, "live", "state with the second token");
    equal(
      exchanges.map(({ headers }) => headers.Authorization),
      ["Bearer a", "Bearer b"],
      "tokens",
    );
    stream.close();
    equal(asked(), 2, "asked");
    const others = tokens("a", "b", "c");
    const out = await connected([refused], { token: others.token });
    equal(
      [out.names(), out.requests(), others.asked()],
      [["connecting", "signed-out"], 2, 2],
      "states, requests, asked",
    );
    await out.clock.advance(600_000);
    equal([out.requests(), out.clock.pending], [2, 0], "nothing more");
  },

  async "a token that is a text is refused once"() {
    const { names, requests } = await connected([refused], { token: "a" });
    equal([names(), requests()], [["connecting", "signed-out"], 1], "states, requests");
  },

  async "before its token expires a stream continues on the next connection with another one"() {
    await renewing(["stream"], async ({ exchanges, numbers, ids, names, pass, asked }) => {
      await pass(LIFE_MS - 60_001);
      equal([exchanges.length, asked()], [1, 1], "before the time");
      await pass(1);
      equal([ids(), exchanges[1].headers["Last-Event-ID"]], [[1, 2], "e-7"], "tokens, resume id");
      await exchanges[0].send(order(8));
      equal(
        [exchanges[0].aborted, numbers()],
        [false, [7, 8]],
        "the first connection stays until then",
      );
      await exchanges[1].send(CONNECTED + order(8) + LIVE + order(9));
      equal(
        [exchanges[0].aborted, numbers(), names()],
        [true, [7, 8, 9], ["connecting", "live"]],
        "changed over",
      );
      await pass(LIFE_MS);
      equal(ids(), [1, 2, 3], "and again");
    });
  },

  async "a stream that had to leave another connection of the user keeps its successor"() {
    await renewing(["stream"], async ({ exchanges, numbers, names, pass }) => {
      await pass(LIFE_MS - 60_000);
      await exchanges[0].send(LIMIT);
      await exchanges[0].end();
      await exchanges[1].send(CONNECTED + LIVE + order(8));
      equal(
        [names(), numbers()],
        [
          ["connecting", "live"],
          [7, 8],
        ],
        "states, delivered",
      );
      await exchanges[1].send(LIMIT);
      equal(names().at(-1), "closed", "a limit later on is final");
    });
  },

  async "a stream whose token the server no longer accepts continues with another one"() {
    await renewing(["stream"], async ({ exchanges, events, ids, names, pass }) => {
      await pass(60_000);
      await exchanges[0].send(EXPIRED);
      await exchanges[0].end();
      equal(ids(), [1, 2], "tokens");
      await exchanges[1].send(CONNECTED + LIVE);
      equal(
        [names(), events.map(({ type }) => type)],
        [
          ["connecting", "live"],
          ["connected", "order:update", "connected"],
        ],
        "seen",
      );
      await exchanges[1].send(EXPIRED);
      equal(
        [names().at(-1), exchanges.length],
        ["signed-out", 2],
        "a fresh one that is refused is final",
      );
    });
  },

  async "a stream whose session is gone ends as signed out"() {
    await renewing(["stream", refused], async ({ exchanges, names, pass, requests, asked }) => {
      await pass(60_000);
      await exchanges[0].send(EXPIRED);
      await exchanges[0].end();
      await pass(5_000);
      equal([names().at(-1), asked(), requests()], ["signed-out", 2, 3], "state, asked, requests");
    });
  },

  async "a function that returns the same token again changes nothing until the token expires"() {
    await withWallClock(async (advance, now) => {
      const first = jwt(now() + LIFE_MS, 1);
      const { token, asked } = tokens(first, first, jwt(now() + 2 * LIFE_MS, 2));
      const { clock, exchanges, stream } = await connected(["stream"], {
        token,
        keepaliveMs: LIFE_MS,
      });
      await exchanges[0].send(CONNECTED);
      for (const [milliseconds, connections] of [
        [LIFE_MS - 60_000, 1],
        [59_999, 1],
        [1, 2],
      ] as const) {
        advance(milliseconds);
        await clock.advance(milliseconds);
        equal(exchanges.length, connections, "connections");
      }
      equal(asked(), 3, "asked");
      stream.close();
    });
  },

  async "a function that has no other token is asked again, and the stream stays open"() {
    await withWallClock(async (advance, now) => {
      const given: (string | null)[] = [
        jwt(now() + LIFE_MS, 1),
        null,
        null,
        jwt(now() + 2 * LIFE_MS, 2),
      ];
      const token = async (): Promise<string> => {
        const next = given.shift() ?? null;
        if (next === null) throw new Error("offline");
        return next;
      };
      const { clock, exchanges, names, stream } = await connected(["stream"], {
        token,
        keepaliveMs: LIFE_MS,
      });
      await exchanges[0].send(CONNECTED);
      for (const milliseconds of [LIFE_MS - 60_000, ASK_AGAIN_MS, ASK_AGAIN_MS]) {
        equal(exchanges.length, 1, "connections");
        advance(milliseconds);
        await clock.advance(milliseconds);
      }
      equal([exchanges.length, names()], [2, ["connecting", "live"]], "connections, states");
      stream.close();
    });
  },

  async "without a token nothing is sent, and the stream is tried again"() {
    const token = () => Promise.reject(new Error("offline"));
    const { states, requests, clock, stream } = await connected(["stream"], { token });
    equal(
      [states.at(-1).name, states.at(-1).reason],
      ["reconnecting", "TokenUnavailable: no token: offline"],
      "state",
    );
    await clock.advance(60_000);
    equal([requests(), states.at(-1).name], [0, "reconnecting"], "requests, state");
    stream.close();
  },

  async "a slow token is no stream that is held back"() {
    let give: (token: string) => void = () => {};
    const token = () =>
      new Promise<string>((resolve) => {
        give = resolve;
      });
    const { clock, requests, names, stream } = await connected(["stream"], { token });
    await clock.advance(20_000);
    equal([requests(), names()], [0, ["connecting"]], "waits");
    give("a");
    await atRest();
    equal([requests(), names()], [1, ["connecting", "live"]], "goes on");
    stream.close();
  },

  async "aborting closes a connection, whatever it does"() {
    for (const answer of ["stream", "hang", "down"] as const) {
      const controller = new AbortController();
      const { clock, names, requests } = await connected([answer], { signal: controller.signal });
      controller.abort();
      await atRest();
      equal(names().at(-1), "closed", `state: ${answer}`);
      await clock.advance(600_000);
      equal([requests(), clock.pending], [1, 0], `nothing more: ${answer}`);
    }
    const waiting = new AbortController();
    const token = () => new Promise<string>(() => {});
    const { names } = await connected(["stream"], { token, signal: waiting.signal });
    waiting.abort();
    await atRest();
    equal(names(), ["connecting", "closed"], "during the wait for a token");
  },

  async "a connection whose signal is aborted already sends nothing"() {
    const { names, requests } = await connected(["stream"], { signal: AbortSignal.abort() });
    equal([names(), requests()], [["closed"], 0], "states, requests");
  },

  async "a stream with polling as its fallback has the token, and closes when aborted"() {
    const controller = new AbortController();
    const poll = async () => ({ events: [], asOf: "e-1", more: false });
    const open = (all: Omit<FollowOptions, "poll">) => follow("/stream", { poll, ...all });
    const given = { token: "a", headers: { "X-Desk": "7" }, signal: controller.signal };
    const { last, clock, requests } = await connected(["stream"], given, open);
    equal([last().headers.Authorization, last().headers["X-Desk"]], ["Bearer a", "7"], "headers");
    controller.abort();
    await atRest();
    equal([last().aborted, requests(), clock.pending], [true, 1, 0], "closed");
  },
};
