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

/** The last event of a replay with an end. It has the id of the last event before it. */
export const REPLAY_COMPLETE = "replay:complete";

/** The final state of a stream after an event of this type; null: the stream goes on. */
export function stateAfterEvent(type: string): FinalState | null {
  if (type === REPLAY_COMPLETE) {
    return { name: "closed", reason: "the replay is complete", error: null };
  }
  const action = FINAL_EVENTS.get(type);
  if (action === undefined) return null;
  if (action === "sign-in") return { name: "signed-out", reason: "the session has ended" };
  // Reconnecting would close another connection of this user, which would reconnect in turn.
  return { name: "closed", reason: "too many connections", error: null };
}
