/**
 * A timeout that is extended by activity. It needs one timer, however often it is extended: `extend`
 * moves the deadline, and a timer that fires before the deadline is armed again.
 */

/**
 * Time, replaceable in tests.
 *
 * @typedef {object} Clock
 * @property {(run: () => void, milliseconds: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {{now: () => number}} performance  monotonic, in milliseconds
 */

export class InactivityTimeout {
  #clock;
  #onTimeout;
  #deadline = Infinity;
  /** @type {any} */
  #timer = null;
  #timerDueAt = Infinity;
  /** Whether the deadline has passed. */
  hasTimedOut = false;

  /**
   * @param {Clock} clock
   * @param {() => void} onTimeout  called once, when a deadline passes
   */
  constructor(clock, onTimeout) {
    this.#clock = clock;
    this.#onTimeout = onTimeout;
  }

  /** @param {number} milliseconds  from now; replaces the deadline */
  extend(milliseconds) {
    this.#deadline = this.#clock.performance.now() + milliseconds;
    if (this.#deadline < this.#timerDueAt) this.#arm();
  }

  stop() {
    this.#clock.clearTimeout(this.#timer);
    this.#deadline = Infinity;
  }

  #arm() {
    this.#clock.clearTimeout(this.#timer);
    this.#timerDueAt = this.#deadline;
    const left = Math.max(this.#deadline - this.#clock.performance.now(), 0);
    this.#timer = this.#clock.setTimeout(() => this.#check(), left);
  }

  #check() {
    if (this.#clock.performance.now() < this.#deadline) {
      this.#arm();
      return;
    }
    this.hasTimedOut = true;
    this.#onTimeout();
  }
}
