/**
 * Opens the next connection while the current one is still open: the server is about to close the
 * current one, or it is a polling one that a stream should replace.
 *
 * It retries until `takeNext` or `cancel`. A permanent rejection stops it: then the current
 * connection is used until it ends.
 */

import { delayBefore } from "./delay.js";
import { Pause } from "./pause.js";
import type { StreamRequest } from "./stream-request.js";
import type { Clock } from "./types.js";

/** The delay before the second try, in milliseconds; it doubles afterwards. */
export const FIRST_RETRY_MS = 500;
/** While the client polls, it tries to stream again so often. */
export const STREAM_AGAIN_MS = 60_000;

export interface HandoverOptions {
  readonly open: () => StreamRequest;
  readonly clock: Clock;
  readonly random: () => number;
  /** The current connection polls: there is no hurry. */
  readonly isPolling: boolean;
}

export class Handover {
  /** Opening, or open. */
  #next: StreamRequest | null = null;
  #isStopped = false;
  readonly #pause: Pause;

  constructor(options: HandoverOptions) {
    this.#pause = new Pause(options.clock);
    void this.#run(options);
  }

  /** Hand over the next connection to the caller; null when there is none at this moment. */
  takeNext(): StreamRequest | null {
    const next = this.#next;
    this.#next = null;
    this.#isStopped = true;
    this.#pause.end();
    return next;
  }

  /** Stop, and abort the next connection. */
  cancel(): void {
    this.takeNext()?.abort();
  }

  async #run({ open, random, isPolling }: HandoverOptions): Promise<void> {
    const retryMs = isPolling ? STREAM_AGAIN_MS : FIRST_RETRY_MS;
    if (isPolling) await this.#pause.wait(retryMs * (1 + random()));
    for (let failures = 1; !this.#isStopped; failures += 1) {
      const next = open();
      this.#next = next;
      const outcome = await next.ended;
      if (this.#next !== next) return; // taken
      this.#next = null;
      if (outcome.kind === "final") return;
      const retryAfterMs = outcome.kind === "failed" ? outcome.retryAfterMs : null;
      const how = { failures, retryMs, retryAfterMs, random: random() };
      await this.#pause.wait(delayBefore({ kind: "failed", ...how }));
    }
  }
}
