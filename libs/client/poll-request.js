/**
 * Long-polling of one stream, from one request to the next, until one fails.
 *
 * It takes the place of a `StreamRequest` when something on the way holds streams back. The answers have the ids and events of the stream.
 */

import { MAX_RETRY_MS } from "./delay.js";
import { InactivityTimeout } from "./inactivity-timeout.js";
import { Pause } from "./pause.js";
import { outcomeOfResponse } from "./response-outcome.js";

/** How long a request waits for an event. Some proxies end requests after ten seconds. */
export const POLL_WAIT_SECONDS = 8;
/** A request is aborted when its answer is so late. */
export const POLL_TIMEOUT_MS = 7_000;

/** @typedef {import("./response-outcome.js").RequestOutcome} RequestOutcome */
/** @typedef {import("./tapewire.js").StreamEvent} StreamEvent */

/**
 * @typedef {object} PollRequestOptions
 * @property {(waitSeconds: number, signal: AbortSignal) => Promise<Response>} request
 * @property {import("./inactivity-timeout.js").Clock} clock
 * @property {(event: StreamEvent) => void} onEvent
 * @property {(id: string) => void} onId  all events up to this id were delivered
 * @property {() => void} onOpen  the first answer has arrived
 */

export class PollRequest {
  #options;
  #abortController = new AbortController();
  #pause;
  /** Whether an answer has arrived. */
  isOpen = false;
  /** @type {Promise<RequestOutcome>} how polling ended; never rejected */
  ended;

  /** @param {PollRequestOptions} options */
  constructor(options) {
    this.#options = options;
    this.#pause = new Pause(options.clock);
    this.ended = this.#run();
  }

  /** Stop; no callback is called after this. */
  abort() {
    this.#abortController.abort();
    this.#pause.end();
  }

  /** @returns {Promise<RequestOutcome>} */
  async #run() {
    // The first answer tells at once whether the server can be reached.
    for (let waitSeconds = 0; ; waitSeconds = POLL_WAIT_SECONDS) {
      const { outcome, retryMs } = await this.#poll(waitSeconds);
      if (outcome) return outcome;
      await this.#pause.wait(retryMs);
    }
  }

  /**
   * One request, and the delivery of its answer.
   *
   * @param {number} waitSeconds
   * @returns {Promise<{outcome: RequestOutcome | null, retryMs: number}>}
   */
  async #poll(waitSeconds) {
    const { clock, request } = this.#options;
    const { signal } = this.#abortController;
    const timeout = new InactivityTimeout(clock, () => this.abort());
    timeout.extend(waitSeconds * 1000 + POLL_TIMEOUT_MS);
    try {
      signal.throwIfAborted();
      const response = await request(waitSeconds, signal);
      const outcome = await outcomeOfResponse(response, "application/json");
      if (outcome) return { outcome, retryMs: 0 };
      const { events, lastEventId, retry } = await response.json();
      this.#deliver(events, lastEventId);
      return { outcome: null, retryMs: Math.min(Math.max(Number(retry) || 0, 0), MAX_RETRY_MS) };
    } catch (error) {
      const reason = timeout.hasTimedOut ? "the server went silent" : String(error);
      return { outcome: { kind: "failed", reason, retryAfterMs: null }, retryMs: 0 };
    } finally {
      timeout.stop();
    }
  }

  /**
   * @param {{id: string | null, event: string, data: any}[]} events
   * @param {string | null} lastEventId
   */
  #deliver(events, lastEventId) {
    const { signal } = this.#abortController;
    const { onEvent, onId, onOpen } = this.#options;
    if (!this.isOpen && !signal.aborted) onOpen();
    this.isOpen = true;
    for (const { event: type, data, id } of events) {
      if (!signal.aborted) onEvent({ type, data, id });
    }
    if (lastEventId !== null && !signal.aborted) onId(lastEventId);
  }
}
