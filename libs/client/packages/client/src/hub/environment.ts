/** What a hub needs of its browser, replaceable in tests. */

import type { connect } from "../tapewire.js";
import type { Clock } from "../types.js";

export interface HubEnvironment extends Clock {
  /** Epoch milliseconds. It goes on while the machine sleeps, and may be set. */
  now(): number;
  /** In [0, 1). */
  random(): number;
  readonly connect: typeof connect;
  readonly fetch?: typeof globalThis.fetch | undefined;
}

export function browserHubEnvironment(
  connectStream: typeof connect,
  fetch?: typeof globalThis.fetch,
): HubEnvironment {
  return {
    setTimeout: (run, milliseconds) => globalThis.setTimeout(run, milliseconds),
    clearTimeout: (timer) =>
      globalThis.clearTimeout(timer as ReturnType<typeof globalThis.setTimeout>),
    performance: globalThis.performance,
    now: Date.now,
    random: Math.random,
    connect: connectStream,
    fetch,
  };
}
