/** Timers with names: starting one again replaces the one that waits under its name. */

export class Timers {
  #clock;
  /** @type {Map<string, any>} */
  #waiting = new Map();

  /** @param {import("./watchdog.js").Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  /**
   * @param {string} name
   * @param {number} milliseconds
   * @param {() => void} run
   */
  after(name, milliseconds, run) {
    this.stop(name);
    const timer = this.#clock.setTimeout(() => {
      this.#waiting.delete(name);
      run();
    }, milliseconds);
    this.#waiting.set(name, timer);
  }

  /** @param {string[]} names */
  stop(...names) {
    for (const name of names) {
      this.#clock.clearTimeout(this.#waiting.get(name));
      this.#waiting.delete(name);
    }
  }
}
