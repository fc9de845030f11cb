/** Classifies responses that are not what was asked for: close for good, or retry later. */

import { errorFrom } from "./rest.js";
import type { FinalState } from "./types.js";

export type ContentType = "text/event-stream" | "application/json";

/** A response that is not what was asked for. */
export type FailureOutcome =
  | { readonly kind: "failed"; readonly reason: string; readonly retryAfterMs: number | null }
  | { readonly kind: "final"; readonly state: FinalState };

/** How one request ended. `buffered`: something on the way holds the stream back. */
export type RequestOutcome =
  | { readonly kind: "ended" }
  | { readonly kind: "buffered" }
  | FailureOutcome;

/** Without the outcome in place of which a connection polls. */
export type UnbufferedOutcome = Exclude<RequestOutcome, { kind: "buffered" }>;

/** The outcome of a response that is not of `wantedType`; null for one that is. */
export async function outcomeOfResponse(
  response: Response,
  wantedType: ContentType,
): Promise<FailureOutcome | null> {
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
