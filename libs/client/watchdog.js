/**
 * Notices that nothing has come for too long. One timer, however many bytes arrive: `allow` only
 * moves the deadline, and the timer that finds the deadline moved goes back to sleep.
 */

/**
 * Time, replaceable in tests.
 *
 * @typedef {object} Clock
 * @property {(run: () => void, milliseconds: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {{now: () => number}} performance  milliseconds, never going back
 */

export class Watchdog {
  #clock;
  #bark;
  #deadline = Infinity;
  /** @type {any} */
  #timer = null;
  #wakesAt = Infinity;
  /** Whether time ran out. */
  barked = false;

  /**
   * @param {Clock} clock
   * @param {() => void} bark  called once, when a deadline passes
   */
  constructor(clock, bark) {
    this.#clock = clock;
    this.#bark = bark;
  }

  /** @param {number} milliseconds  from now; replaces what was allowed before */
  allow(milliseconds) {
    this.#deadline = this.#clock.performance.now() + milliseconds;
    if (this.#deadline < this.#wakesAt) this.#sleep();
  }

  stop() {
    this.#clock.clearTimeout(this.#timer);
    this.#deadline = Infinity;
  }

  #sleep() {
    this.#clock.clearTimeout(this.#timer);
    this.#wakesAt = this.#deadline;
    const left = Math.max(this.#deadline - this.#clock.performance.now(), 0);
    this.#timer = this.#clock.setTimeout(() => this.#look(), left);
  }

  #look() {
    if (this.#clock.performance.now() < this.#deadline) {
      this.#sleep();
      return;
    }
    this.barked = true;
    this.#bark();
  }
}
