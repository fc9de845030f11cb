/** Classifies responses that are not streams: close for good, or retry later. */

import { errorFrom } from "./rest.js";

/** @typedef {import("./tapewire.js").State} State */
/** @typedef {Extract<State, {name: "signed-out" | "closed"}>} FinalState */
/**
 * How one request ended.
 *
 * @typedef {{kind: "ended"}
 *   | {kind: "failed", reason: string, retryAfterMs: number | null}
 *   | {kind: "final", state: FinalState}} RequestOutcome
 */

/**
 * The outcome of a response that is not a stream; null for a stream.
 *
 * @param {Response} response
 * @returns {Promise<Exclude<RequestOutcome, {kind: "ended"}> | null>}
 */
export async function outcomeOfResponse(response) {
  const type = response.headers.get("Content-Type") ?? "";
  if (response.status === 200 && response.body && type.startsWith("text/event-stream")) return null;
  const error = await errorFrom(response);
  const reason = response.ok ? `the answer is ${type || "empty"}, no stream` : error.message;
  if (response.status === 401 || error.isAccountChanged) {
    return { kind: "final", state: { name: "signed-out", reason } };
  }
  const isPermanent = response.status >= 400 && response.status < 500 && !error.transient;
  if (isPermanent || response.status === 204) {
    return { kind: "final", state: { name: "closed", reason, error } };
  }
  return { kind: "failed", reason, retryAfterMs: error.retryAfterMs };
}
