/**
 * A timeout that is extended by activity. It needs one timer, however often it is extended: `extend`
 * moves the deadline, and a timer that fires before the deadline is armed again.
 */

import type { Clock } from "./types.js";

export class InactivityTimeout {
  readonly #clock: Clock;
  readonly #onTimeout: () => void;
  #deadline = Infinity;
  #timer: unknown = null;
  #timerDueAt = Infinity;
  /** Whether the deadline has passed. */
  hasTimedOut = false;

  /** @param onTimeout  called once, when a deadline passes */
  constructor(clock: Clock, onTimeout: () => void) {
    this.#clock = clock;
    this.#onTimeout = onTimeout;
  }

  /** @param milliseconds  from now; replaces the deadline */
  extend(milliseconds: number): void {
    this.#deadline = this.#clock.performance.now() + milliseconds;
    if (this.#deadline < this.#timerDueAt) this.#arm();
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#deadline = Infinity;
  }

  #arm(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timerDueAt = this.#deadline;
    const left = Math.max(this.#deadline - this.#clock.performance.now(), 0);
    this.#timer = this.#clock.setTimeout(() => this.#check(), left);
  }

  #check(): void {
    if (this.#clock.performance.now() < this.#deadline) {
      this.#arm();
      return;
    }
    this.hasTimedOut = true;
    this.#onTimeout();
  }
}
