/**
 * Opens the next connection while the current one is still open.
 *
 * It retries until `takeNext` or `cancel`. A permanent rejection stops it: then the current
 * connection is used until it ends.
 */

import { delayBefore } from "./delay.js";

/** The delay before the second try, in milliseconds; it doubles afterwards. */
export const FIRST_RETRY_MS = 500;

/** @typedef {import("./stream-request.js").StreamRequest} StreamRequest */

export class Handover {
  /** @type {StreamRequest | null} opening, or open */
  #next = null;
  #isStopped = false;
  #endWait = () => {};

  /**
   * @param {object} options
   * @param {() => StreamRequest} options.open
   * @param {import("./inactivity-timeout.js").Clock} options.clock
   * @param {() => number} options.random
   */
  constructor(options) {
    this.#run(options);
  }

  /** Hand over the next connection to the caller; null when there is none at this moment. */
  takeNext() {
    const next = this.#next;
    this.#next = null;
    this.#isStopped = true;
    this.#endWait();
    return next;
  }

  /** Stop, and abort the next connection. */
  cancel() {
    this.takeNext()?.abort();
  }

  /** @param {ConstructorParameters<typeof Handover>[0]} options */
  async #run({ open, clock, random }) {
    for (let failures = 1; !this.#isStopped; failures += 1) {
      const next = open();
      this.#next = next;
      const outcome = await next.ended;
      if (this.#next !== next) return; // taken
      this.#next = null;
      if (outcome.kind === "final") return;
      const retryAfterMs = outcome.kind === "failed" ? outcome.retryAfterMs : null;
      const how = { failures, retryMs: FIRST_RETRY_MS, retryAfterMs, random: random() };
      await this.#wait(clock, delayBefore({ kind: "failed", ...how }));
    }
  }

  /**
   * @param {import("./inactivity-timeout.js").Clock} clock
   * @param {number} milliseconds
   */
  #wait(clock, milliseconds) {
    return new Promise((resolve) => {
      const timer = clock.setTimeout(() => this.#endWait(), milliseconds);
      this.#endWait = () => {
        this.#endWait = () => {};
        clock.clearTimeout(timer);
        resolve(undefined);
      };
    });
  }
}
