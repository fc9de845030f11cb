/** What an answer that is no stream means for the client: stop for good, or come back later. */

import { errorFrom } from "./rest.js";

/** @typedef {import("./tapewire.js").State} State */
/** @typedef {Extract<State, {name: "signed-out" | "closed"}>} Final */
/**
 * How one try ended.
 *
 * @typedef {{kind: "ended"}
 *   | {kind: "failed", reason: string, retryAfterMs: number | null}
 *   | {kind: "final", state: Final}} Outcome
 */

/**
 * What an answer that is no stream means for the client; null for a stream.
 *
 * @param {Response} response
 * @returns {Promise<Exclude<Outcome, {kind: "ended"}> | null>}
 */
export async function refusalIn(response) {
  const type = response.headers.get("Content-Type") ?? "";
  if (response.status === 200 && response.body && type.startsWith("text/event-stream")) return null;
  const error = await errorFrom(response);
  const reason = response.ok ? `the answer is ${type || "empty"}, no stream` : error.message;
  if (response.status === 401) {
    return { kind: "final", state: { name: "signed-out", reason } };
  }
  const unwilling = response.status >= 400 && response.status < 500 && !error.transient;
  if (unwilling || response.status === 204) {
    return { kind: "final", state: { name: "closed", reason, error } };
  }
  return { kind: "failed", reason, retryAfterMs: error.retryAfterMs };
}
