/**
 * What a client does after the final event of a stream, by the name of that event.
 *
 * A client whose stream ends without one of these events connects again. The server has the same
 * table (`FINAL_EVENTS`, control_messages.py); a test compares them.
 */

import type { FinalState } from "./types.js";

export type FinalAction = "sign-in" | "stop";

export const FINAL_EVENTS: ReadonlyMap<string, FinalAction> = new Map<string, FinalAction>([
  ["auth:expired", "sign-in"],
  ["connection:limit", "stop"],
]);

/** The final state of a stream after which the client takes `action`. */
export function stateAfter(action: FinalAction): FinalState {
  if (action === "sign-in") return { name: "signed-out", reason: "the session has ended" };
  // Reconnecting would close another connection of this user, which would reconnect in turn.
  return { name: "closed", reason: "too many connections", error: null };
}
