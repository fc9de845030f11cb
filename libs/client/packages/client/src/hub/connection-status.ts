/** The state of a connection in the words of `ConnectionStatus`, as a pure function. */

import type { ConnectionStatus } from "../interfaces.js";
import type { State } from "../types.js";

export interface Progress {
  /** Everything that the stream opens with has arrived. */
  readonly isCaughtUp: boolean;
  /** Events since the connection opened. */
  readonly received: number;
  /** Epoch milliseconds since which nothing has arrived, or what arrives may be old; null: neither. */
  readonly silentSince: number | null;
  /** Epoch milliseconds at which `state` began. */
  readonly stateSince: number;
}

export function statusOf(
  state: State,
  { isCaughtUp, received, silentSince, stateSince }: Progress,
): ConnectionStatus {
  switch (state.name) {
    case "connecting":
      if (silentSince !== null) return { name: "stale", since: silentSince };
      return { name: "connecting", tries: state.tries };
    case "live":
      if (silentSince !== null) return { name: "stale", since: silentSince };
      if (!isCaughtUp) return { name: "catching-up", received };
      return { name: "live", isPolling: state.isPolling === true };
    case "reconnecting": {
      const { retryInMs, reason, tries } = state;
      return { name: "reconnecting", retryAt: stateSince + retryInMs, reason, tries };
    }
    case "signed-out":
      return { name: "signed-out", reason: state.reason };
    case "closed":
      // Only the message of an error survives between tabs.
      return {
        name: "refused",
        reason: state.reason,
        error: state.error && new Error(state.error.message),
      };
  }
}
