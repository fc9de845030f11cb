/** Timers with names: scheduling a name again replaces its pending timer. */

export class NamedTimers {
  #clock;
  /** @type {Map<string, any>} */
  #pending = new Map();

  /** @param {import("./inactivity-timeout.js").Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  /**
   * @param {string} name
   * @param {number} milliseconds
   * @param {() => void} run
   */
  schedule(name, milliseconds, run) {
    this.cancel(name);
    const timer = this.#clock.setTimeout(() => {
      this.#pending.delete(name);
      run();
    }, milliseconds);
    this.#pending.set(name, timer);
  }

  /** @param {string[]} names */
  cancel(...names) {
    for (const name of names) {
      this.#clock.clearTimeout(this.#pending.get(name));
      this.#pending.delete(name);
    }
  }
}
