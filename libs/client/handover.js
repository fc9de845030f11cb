/**
 * Getting the next connection while the present one still serves.
 *
 * It tries until it is asked for what it has (`take`) or not to go on (`stop`). A refusal that time
 * does not mend ends the trying: the present connection is kept to its end.
 */

import { delayBefore } from "./delay.js";

/** Before the second try; after that it doubles. In milliseconds. */
export const AGAIN_MS = 500;

/** @typedef {import("./link.js").Link} Link */

export class Handover {
  /** @type {Link | null} on its way, or there */
  #next = null;
  #over = false;
  #wake = () => {};

  /**
   * @param {object} means
   * @param {() => Link} means.open
   * @param {import("./watchdog.js").Clock} means.clock
   * @param {() => number} means.random
   */
  constructor(means) {
    this.#run(means);
  }

  /** The next connection, the caller's from now on; null when there is none at this moment. */
  take() {
    const next = this.#next;
    this.#next = null;
    this.#over = true;
    this.#wake();
    return next;
  }

  stop() {
    this.take()?.abort();
  }

  /** @param {ConstructorParameters<typeof Handover>[0]} means */
  async #run({ open, clock, random }) {
    for (let failures = 1; !this.#over; failures += 1) {
      const next = open();
      this.#next = next;
      const outcome = await next.over;
      if (this.#next !== next) return; // taken
      this.#next = null;
      if (outcome.kind === "final") return;
      const retryAfterMs = outcome.kind === "failed" ? outcome.retryAfterMs : null;
      const how = { failures, retryMs: AGAIN_MS, retryAfterMs, random: random() };
      await this.#rest(clock, delayBefore({ kind: "failed", ...how }));
    }
  }

  /**
   * @param {import("./watchdog.js").Clock} clock
   * @param {number} milliseconds
   */
  #rest(clock, milliseconds) {
    return new Promise((resolve) => {
      const timer = clock.setTimeout(() => this.#wake(), milliseconds);
      this.#wake = () => {
        this.#wake = () => {};
        clock.clearTimeout(timer);
        resolve(undefined);
      };
    });
  }
}
