/** Bearer tokens and aborts of calls, as cases that run in Node and in Chromium: name → test. */

import { type ApiError, call, type Unreachable } from "../../src/rest.js";
import { BearerToken, type TokenUnavailable } from "../../src/token.js";
import { type Cases, equal, rejection } from "../assert.js";
import { answering, atRest } from "../fakes.js";
import { jwt, tokens, withWallClock } from "../tokens.js";

const done = (): Response => Response.json({ done: true });
const refused = (): Response =>
  Response.json({ error: "Unauthorized", message: "no", statusCode: 401 }, { status: 401 });
/** A server that accepts the tokens in `accepted`. */
const accepting = (...accepted: string[]) =>
  answering((_, { headers }) => {
    const { Authorization } = headers as Record<string, string>;
    return accepted.includes((Authorization ?? "").replace("Bearer ", "")) ? done() : refused();
  });
const bearers = (sent: ReturnType<typeof answering>["sent"]) =>
  sent.map(({ headers }) => headers.Authorization);

export const cases: Cases = {
  async "calls share the token of a function, which is asked once"() {
    const { fetch, sent } = accepting("a");
    const { token, asked } = tokens("a", "b");
    await Promise.all([1, 2, 3].map(() => call("GET", "/api/orders", undefined, { fetch, token })));
    await call("GET", "/api/orders", undefined, { fetch, token });
    equal([bearers(sent), asked()], [Array(4).fill("Bearer a"), 1], "sent, asked");
  },

  async "a token is asked for again after a 401, and the call is sent once more"() {
    const { fetch, sent } = accepting("b");
    const { token, asked } = tokens("a", "b");
    equal(
      await call("POST", "/api/orders", { qty: 1 }, { fetch, token }),
      { done: true },
      "answer",
    );
    equal([bearers(sent), asked()], [["Bearer a", "Bearer b"], 2], "sent, asked");
    equal(
      sent.map(({ request }) => request.body),
      ['{"qty":1}', '{"qty":1}'],
      "bodies",
    );
  },

  async "calls that are refused at the same time ask for one token"() {
    const { fetch, sent } = accepting("b");
    const { token, asked } = tokens("a", "b", "c");
    await Promise.all([1, 2, 3].map(() => call("GET", "/api/orders", undefined, { fetch, token })));
    equal([sent.length, asked()], [6, 2], "sent, asked");
  },

  async "a refused fresh token is an error, and the call is not sent a third time"() {
    for (const [given, sends] of [
      [tokens("a", "b").token, 2],
      [tokens("a", "a").token, 1],
      ["a", 1],
    ] as const) {
      const { fetch, sent } = accepting("z");
      const error = await rejection<ApiError>(
        call("GET", "/api/orders", undefined, { fetch, token: given }),
      );
      equal([error.name, error.statusCode, sent.length], ["ApiError", 401, sends], "error, sent");
    }
  },

  async "a function without a token fails the call, and nothing is sent"() {
    for (const token of [
      () => Promise.reject(new Error("signed out of the portal")),
      () => {
        throw new Error("signed out of the portal");
      },
    ]) {
      const { fetch, sent } = accepting("a");
      const error = await rejection<TokenUnavailable>(
        call("GET", "/api/orders", undefined, { fetch, token }),
      );
      equal(
        [error.name, error.message],
        ["TokenUnavailable", "no token: signed out of the portal"],
        "error",
      );
      equal(sent, [], "sent");
    }
  },

  async "a function that failed is asked again by the next call"() {
    const { fetch, sent } = accepting("a");
    let fails = true;
    const token = () => (fails ? Promise.reject(new Error("no")) : Promise.resolve("a"));
    await rejection(call("GET", "/api/orders", undefined, { fetch, token }));
    fails = false;
    await call("GET", "/api/orders", undefined, { fetch, token });
    equal(bearers(sent), ["Bearer a"], "sent");
  },

  async "a JWT is renewed a minute before it expires, and a short one after four fifths of its life"() {
    for (const [lifeMs, renewedAfterMs] of [
      [600_000, 540_000],
      [50_000, 40_000],
    ] as const) {
      await withWallClock(async (advance, now) => {
        const given = [jwt(now() + lifeMs, 1), jwt(now() + lifeMs * 2, 2)];
        const token = new BearerToken(() => given.shift() ?? "");
        const first = await token.current();
        advance(renewedAfterMs - 1);
        equal([await token.current(), token.renewInMs], [first, 1], "before");
        advance(1);
        equal([(await token.current()) === first, given.length], [false, 0], "after");
      });
    }
  },

  async "the same JWT again is used until it expires, and then until the server refuses it"() {
    await withWallClock(async (advance, now) => {
      let asked = 0;
      const same = jwt(now() + 100_000);
      const token = new BearerToken(() => {
        asked += 1;
        return same;
      });
      await token.current();
      advance(80_000);
      await token.current();
      equal([asked, token.renewInMs], [2, 20_000], "asked at four fifths, and next at the end");
      advance(20_000);
      await token.current();
      advance(600_000);
      await token.current();
      equal(asked, 3, "asked");
    });
  },

  async "a token that is no JWT, or has no end, is asked for once"() {
    for (const opaque of [
      "opaque",
      "a.b.c",
      `x.${btoa('{"sub":"dave"}')}.y`,
      `x.${btoa("null")}.y`,
    ]) {
      let asked = 0;
      const token = new BearerToken(() => {
        asked += 1;
        return opaque;
      });
      await token.current();
      await token.current();
      equal([asked, token.renewInMs], [1, null], opaque); // JSON has no Infinity
    }
  },

  async "an aborted call is an AbortError, before, during and after it was sent"() {
    const hanging = answering(
      (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason));
        }),
    );
    const halfRead = (status: number) =>
      answering((_, { signal }) => {
        const start = (sink: ReadableStreamDefaultController) =>
          signal?.addEventListener("abort", () => sink.error(signal.reason));
        return new Response(new ReadableStream({ start }), { status });
      });
    for (const { fetch, sent } of [hanging, halfRead(200), halfRead(503)]) {
      const controller = new AbortController();
      const made = call("GET", "/api/orders", undefined, { fetch, signal: controller.signal });
      await atRest();
      controller.abort(new Error("the page moved on"));
      equal((await rejection<DOMException>(made)).name, "AbortError", "during");
      const again = call("GET", "/api/orders", undefined, { fetch, signal: controller.signal });
      equal((await rejection<DOMException>(again)).name, "AbortError", "before");
      equal(sent.length, 1, "sent");
    }
  },

  async "an abort ends the wait for a token"() {
    const { fetch, sent } = accepting("a");
    const controller = new AbortController();
    const token = () => new Promise<string>(() => {});
    const made = call("GET", "/api/orders", undefined, { fetch, token, signal: controller.signal });
    controller.abort();
    equal(
      [(await rejection<DOMException>(made)).name, sent.length],
      ["AbortError", 0],
      "error, sent",
    );
  },

  async "a call that times out is unreachable, also with a signal that is not aborted"() {
    const { signal } = new AbortController();
    const { fetch } = answering(
      (_, request) =>
        new Promise((_resolve, reject) => {
          request.signal?.addEventListener("abort", () => reject(request.signal?.reason));
        }),
    );
    for (const options of [
      { fetch, timeoutMs: 1 },
      { fetch, timeoutMs: 1, signal },
    ]) {
      equal(
        (await rejection<Unreachable>(call("GET", "/x", undefined, options))).name,
        "Unreachable",
        "error",
      );
    }
  },

  async "the headers of a call, and its idempotency key, are sent"() {
    const { fetch, sent } = answering(done);
    await call(
      "POST",
      "/api/orders",
      {},
      { fetch, idempotencyKey: "k-1", headers: { "X-Desk": "7" } },
    );
    await call("GET", "/api/orders", undefined, { fetch });
    equal(
      sent.map(({ headers }) => [
        headers["Idempotency-Key"],
        headers["X-Desk"],
        headers["Content-Type"],
      ]),
      [
        ["k-1", "7", "application/json"],
        [undefined, undefined, undefined],
      ],
      "headers",
    );
  },
};
