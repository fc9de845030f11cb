/** The contract of `call`, as cases that run in Node and in Chromium: name → test. */

import { retryAfterMs } from "../../src/delay.js";
import { call, errorFrom, type Unreachable } from "../../src/rest.js";
import { type Cases, equal, rejection } from "../assert.js";
import { answering } from "../fakes.js";

const otherUser = (): Response =>
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
  async "a call for another user than the one who is signed in says so"() {
    const { fetch, sent } = answering(otherUser);
    for (const user of ["dave", "", undefined]) {
      const error = await rejection(call("GET", "/api/orders", undefined, { fetch, user }));
      equal([error.isAccountChanged, error.transient, error.value], [true, false, "dave"], "error");
    }
    equal(
      sent.map(({ headers }) => headers["X-Tapewire-User"]),
      ["dave", "", undefined],
      "users",
    );
  },

  "Retry-After is seconds or a date"() {
    const now = Date.parse("2026-01-01T00:00:00Z");
    equal(retryAfterMs("12", now), 12_000, "seconds");
    equal(retryAfterMs("Thu, 01 Jan 2026 00:01:00 GMT", now), 60_000, "a date");
    equal(retryAfterMs("Wed, 31 Dec 2025 00:00:00 GMT", now), 0, "a date that has passed");
    equal(retryAfterMs("soon", now), null, "nonsense");
    equal(retryAfterMs(null, now), null, "absent");
  },

  async "errors of the edge and of proxies are typed"() {
    const body = {
      error: "Unprocessable",
      message: "too few",
      statusCode: 422,
      path: "$.order.qty",
      value: 0,
    };
    const ours = await errorFrom(Response.json(body, { status: 422 }));
    equal(
      [ours.message, ours.field, ours.value, ours.transient],
      ["too few", "qty", 0, false],
      "an error of the edge",
    );
    const proxy = await errorFrom(new Response("<p>Bad gateway", { status: 502 }));
    equal(
      [proxy.statusCode, proxy.message, proxy.transient],
      [502, "Status 502", true],
      "an error of a proxy",
    );
  },

  async "a call without a response fails as unreachable"() {
    const fetch = () => Promise.reject(new TypeError("Failed to fetch"));
    const error = await rejection<Unreachable>(call("GET", "/api/orders", undefined, { fetch }));
    equal(error.name, "Unreachable", "error");
  },

  async "a call returns undefined for an empty response"() {
    const fetch = () => Promise.resolve(new Response(null, { status: 204 }));
    equal(await call("DELETE", "/api/session", undefined, { fetch }), undefined, "answer");
  },
};
