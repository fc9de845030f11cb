/** The wait of a connection before its next try. */

import { DEFAULT_RETRY_MS, delayBefore } from "./delay.js";
import { Pause } from "./pause.js";
import type { RequestOutcome } from "./response-outcome.js";
import type { Clock } from "./types.js";

/** The end of a request after which the connection tries again. */
export type RetriedOutcome = Extract<RequestOutcome, { kind: "ended" | "failed" }>;

export class RetryWait {
  readonly #random: () => number;
  readonly #pause: Pause;
  /** The server's `retry:`. */
  #baseMs = DEFAULT_RETRY_MS;
  #nextMs = 0;
  /** Failures since the last event. */
  failures = 0;

  /** @param random  in [0, 1) */
  constructor(clock: Clock, random: () => number) {
    this.#pause = new Pause(clock);
    this.#random = random;
  }

  /** The server's `retry:` in milliseconds. */
  setBase(milliseconds: number): void {
    this.#baseMs = milliseconds;
  }

  /** An event arrived. */
  onSuccess(): void {
    this.failures = 0;
  }

  /** How long `wait` takes after a request ended in this way, and why. */
  afterOutcome(outcome: RetriedOutcome): { retryInMs: number; tries: number; reason: string } {
    const failed = outcome.kind === "failed";
    if (failed) this.failures += 1;
    this.#nextMs = delayBefore({
      kind: outcome.kind,
      failures: this.failures,
      retryMs: this.#baseMs,
      retryAfterMs: failed ? outcome.retryAfterMs : null,
      random: this.#random(),
    });
    const reason = failed ? outcome.reason : "the server ended the stream";
    return { retryInMs: this.#nextMs, tries: this.failures, reason };
  }

  /** Resolves after the time that `afterOutcome` returned, or at `end`. */
  wait(): Promise<void> {
    return this.#pause.wait(this.#nextMs);
  }

  /** End the wait, if there is one. */
  end(): void {
    this.#pause.end();
  }
}
