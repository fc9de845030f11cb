/** Classifies responses that are not what was asked for: close for good, or retry later. */

import { errorFrom } from "./rest.js";

/**
 * @typedef {{name: "connecting", tries: number}
 *   | {name: "live", isPolling?: true, isSilent?: true}
 *   | {name: "reconnecting", retryInMs: number, tries: number, reason: string}
 *   | {name: "signed-out", reason: string}
 *   | {name: "closed", reason: string, error: import("./rest.js").ApiError | null}} State
 * `tries` counts the failures since the last event. `isPolling`: a proxy holds streams back, and
 * events arrive by long-polling. `isSilent`: nothing has arrived for so long that the prices of the
 * stream may be too old. `signed-out` and `closed` are final.
 */
/** @typedef {Extract<State, {name: "signed-out" | "closed"}>} FinalState */
/**
 * How one request ended. `buffered`: something on the way holds the stream back.
 *
 * @typedef {{kind: "ended"}
 *   | {kind: "buffered"}
 *   | {kind: "failed", reason: string, retryAfterMs: number | null}
 *   | {kind: "final", state: FinalState}} RequestOutcome
 */

/**
 * The outcome of a response that is not of `wantedType`; null for one that is.
 *
 * @param {Response} response
 * @param {"text/event-stream" | "application/json"} wantedType
 * @returns {Promise<Exclude<RequestOutcome, {kind: "ended"} | {kind: "buffered"}> | null>}
 */
export async function outcomeOfResponse(response, wantedType) {
  const type = response.headers.get("Content-Type") ?? "";
  if (response.status === 200 && response.body && type.startsWith(wantedType)) return null;
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
