/**
 * Polls for the events that a stream would deliver, from `start` until `stop`. A result that arrives
 * after `stop` is discarded.
 */

import { ApiError } from "./rest.js";
import { NamedTimers } from "./timers.js";

export const POLL_INTERVAL_MS = 5_000;
/** A random share of up to this is added to the interval, which spreads the polls of clients. */
const JITTER_RATIO = 0.1;

/**
 * The result of a poll: `events` as the stream would deliver them, and the id up to which they are
 * complete. `more` says to poll again at once.
 *
 * @typedef {{events: import("./tapewire.js").StreamEvent[], asOf: string, more: boolean}} PollResult
 */
/**
 * @typedef {object} PollerOptions
 * @property {() => Promise<PollResult>} poll
 * @property {(result: PollResult) => void} onResult
 * @property {() => void} onRecovered       the first success, or the first after a failure
 * @property {() => void} onErrorChanged    `lastError` has changed
 * @property {(error: ApiError) => void} onFatalError  polling again would not help
 * @property {import("./inactivity-timeout.js").Clock} clock
 * @property {() => number} random
 */

export class Poller {
  #options;
  #timers;
  /** The number of the current run, which identifies late results; 0 while not polling. */
  #runId = 0;
  #lastRunId = 0;
  #hasAnswer = false;
  /** The error of the last poll; "" when it succeeded. */
  lastError = "";

  /** @param {PollerOptions} options */
  constructor(options) {
    this.#options = options;
    this.#timers = new NamedTimers(options.clock);
  }

  get isRunning() {
    return this.#runId !== 0;
  }

  start() {
    this.#runId = ++this.#lastRunId;
    this.#hasAnswer = false;
    this.lastError = "";
    void this.#pollOnce(this.#runId);
  }

  stop() {
    this.#runId = 0;
    this.#timers.cancel("poll");
  }

  /** @param {number} runId */
  async #pollOnce(runId) {
    /** @type {PollResult | null} */
    let result = null;
    /** @type {unknown} */
    let failure = null;
    try {
      result = await this.#options.poll();
    } catch (error) {
      failure = error;
    }
    if (runId !== this.#runId) return;
    if (result === null) this.#handleError(failure);
    else this.#handleResult(result);
  }

  /** @param {PollResult} result */
  #handleResult(result) {
    const runId = this.#runId;
    this.#options.onResult(result);
    if (runId !== this.#runId) return; // stopped by the callback
    const recovered = !this.#hasAnswer;
    this.#hasAnswer = true;
    this.#setLastError("");
    this.#schedulePoll(result.more ? 0 : POLL_INTERVAL_MS);
    if (recovered) this.#options.onRecovered();
  }

  /** @param {unknown} error */
  #handleError(error) {
    if (error instanceof ApiError && !error.transient) {
      this.stop();
      this.#options.onFatalError(error);
      return;
    }
    this.#hasAnswer = false;
    this.#setLastError(error instanceof Error ? error.message : String(error));
    this.#schedulePoll(Math.max(POLL_INTERVAL_MS, (error instanceof ApiError && error.retryAfterMs) || 0));
  }

  /** @param {string} error */
  #setLastError(error) {
    if (error === this.lastError) return;
    this.lastError = error;
    this.#options.onErrorChanged();
  }

  /** @param {number} milliseconds */
  #schedulePoll(milliseconds) {
    const runId = this.#runId;
    const jittered = milliseconds * (1 + JITTER_RATIO * this.#options.random());
    this.#timers.schedule("poll", jittered, () => this.#pollOnce(runId));
  }
}
