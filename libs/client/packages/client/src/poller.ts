/**
 * Polls for the events that a stream would deliver, from `start` until `stop`. A result that arrives
 * after `stop` is discarded.
 */

import { ApiError } from "./rest.js";
import { NamedTimers } from "./timers.js";
import type { Clock, StreamEvent } from "./types.js";

export const POLL_INTERVAL_MS = 5_000;
/** A random share of up to this is added to the interval, which spreads the polls of clients. */
const JITTER_RATIO = 0.1;

export interface PollResult {
  /** As the stream would deliver them. */
  readonly events: readonly StreamEvent[];
  /** The id up to which `events` are complete. */
  readonly asOf: string;
  /** Poll again at once. */
  readonly more: boolean;
}

export interface PollerOptions {
  readonly poll: () => Promise<PollResult>;
  readonly onResult: (result: PollResult) => void;
  /** The first success, or the first after a failure. */
  readonly onRecovered: () => void;
  /** `lastError` has changed. */
  readonly onErrorChanged: () => void;
  /** Polling again would not help. */
  readonly onFatalError: (error: ApiError) => void;
  readonly clock: Clock;
  readonly random: () => number;
}

export class Poller {
  readonly #options: PollerOptions;
  readonly #timers: NamedTimers;
  /** The number of the current run, which identifies late results; 0 while not polling. */
  #runId = 0;
  #lastRunId = 0;
  #hasAnswer = false;
  /** The error of the last poll; "" when it succeeded. */
  lastError = "";

  constructor(options: PollerOptions) {
    this.#options = options;
    this.#timers = new NamedTimers(options.clock);
  }

  get isRunning(): boolean {
    return this.#runId !== 0;
  }

  start(): void {
    this.#runId = ++this.#lastRunId;
    this.#hasAnswer = false;
    this.lastError = "";
    void this.#pollOnce(this.#runId);
  }

  stop(): void {
    this.#runId = 0;
    this.#timers.cancel("poll");
  }

  async #pollOnce(runId: number): Promise<void> {
    let result: PollResult | null = null;
    let failure: unknown = null;
    try {
      result = await this.#options.poll();
    } catch (error) {
      failure = error;
    }
    if (runId !== this.#runId) return;
    if (result === null) this.#handleError(failure);
    else this.#handleResult(result);
  }

  #handleResult(result: PollResult): void {
    const runId = this.#runId;
    this.#options.onResult(result);
    if (runId !== this.#runId) return; // stopped by the callback
    const recovered = !this.#hasAnswer;
    this.#hasAnswer = true;
    this.#setLastError("");
    this.#schedulePoll(result.more ? 0 : POLL_INTERVAL_MS);
    if (recovered) this.#options.onRecovered();
  }

  #handleError(error: unknown): void {
    if (error instanceof ApiError && !error.transient) {
      this.stop();
      this.#options.onFatalError(error);
      return;
    }
    this.#hasAnswer = false;
    this.#setLastError(error instanceof Error ? error.message : String(error));
    this.#schedulePoll(
      Math.max(POLL_INTERVAL_MS, (error instanceof ApiError && error.retryAfterMs) || 0),
    );
  }

  #setLastError(error: string): void {
    if (error === this.lastError) return;
    this.lastError = error;
    this.#options.onErrorChanged();
  }

  #schedulePoll(milliseconds: number): void {
    const runId = this.#runId;
    const jittered = milliseconds * (1 + JITTER_RATIO * this.#options.random());
    this.#timers.schedule("poll", jittered, () => this.#pollOnce(runId));
  }
}
