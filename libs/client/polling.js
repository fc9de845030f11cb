/**
 * Asking again and again for what a stream would have brought, from `start` until `stop`. An answer
 * that comes after `stop` is thrown away.
 */

import { ApiError } from "./rest.js";
import { Timers } from "./timers.js";

export const POLL_MS = 5_000;
/** Up to this share polls are later at random, so that many clients do not ask at once. */
const JITTER = 0.1;

/**
 * What a poll found: `events` as the stream would have brought them, and the id of the place up to
 * which they are all that there are. `more`: ask again at once.
 *
 * @typedef {{events: import("./tapewire.js").StreamEvent[], asOf: string, more: boolean}} Found
 */
/**
 * @typedef {object} Wiring
 * @property {() => Promise<Found>} ask
 * @property {(found: Found) => void} onFound
 * @property {() => void} onBack       an answer, the first or the first after a failure
 * @property {() => void} onTrouble    `failing` has changed
 * @property {(error: ApiError) => void} onRefused  asking again would not help
 * @property {import("./watchdog.js").Clock} clock
 * @property {() => number} random
 */

export class Polling {
  #wiring;
  #timers;
  /** 0: not polling. Each start has its own number, so that late answers are known as such. */
  #round = 0;
  #starts = 0;
  #answered = false;
  /** Why the last poll had no answer; "" when it had. */
  failing = "";

  /** @param {Wiring} wiring */
  constructor(wiring) {
    this.#wiring = wiring;
    this.#timers = new Timers(wiring.clock);
  }

  get running() {
    return this.#round !== 0;
  }

  start() {
    this.#round = ++this.#starts;
    this.#answered = false;
    this.failing = "";
    void this.#ask(this.#round);
  }

  stop() {
    this.#round = 0;
    this.#timers.stop("poll");
  }

  /** @param {number} round */
  async #ask(round) {
    /** @type {Found | null} */
    let found = null;
    /** @type {unknown} */
    let trouble = null;
    try {
      found = await this.#wiring.ask();
    } catch (error) {
      trouble = error;
    }
    if (round !== this.#round) return;
    if (found === null) this.#unanswered(trouble);
    else this.#take(found);
  }

  /** @param {Found} found */
  #take(found) {
    const round = this.#round;
    this.#wiring.onFound(found);
    if (round !== this.#round) return; // stopped by who heard of it
    const back = !this.#answered;
    this.#answered = true;
    this.#fails("");
    this.#askIn(found.more ? 0 : POLL_MS);
    if (back) this.#wiring.onBack();
  }

  /** @param {unknown} error */
  #unanswered(error) {
    if (error instanceof ApiError && !error.transient) {
      this.stop();
      this.#wiring.onRefused(error);
      return;
    }
    this.#answered = false;
    this.#fails(error instanceof Error ? error.message : String(error));
    this.#askIn(Math.max(POLL_MS, (error instanceof ApiError && error.retryAfterMs) || 0));
  }

  /** @param {string} failing */
  #fails(failing) {
    if (failing === this.failing) return;
    this.failing = failing;
    this.#wiring.onTrouble();
  }

  /** @param {number} milliseconds */
  #askIn(milliseconds) {
    const round = this.#round;
    const jittered = milliseconds * (1 + JITTER * this.#wiring.random());
    this.#timers.after("poll", jittered, () => this.#ask(round));
  }
}
