/** A pause that can be ended early. */

export class Pause {
  #clock;
  #end = () => {};

  /** @param {import("./inactivity-timeout.js").Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  /** @param {number} milliseconds  until the promise is resolved, unless `end` is called */
  wait(milliseconds) {
    return new Promise((resolve) => {
      const timer = this.#clock.setTimeout(() => this.#end(), milliseconds);
      this.#end = () => {
        this.#end = () => {};
        this.#clock.clearTimeout(timer);
        resolve(undefined);
      };
    });
  }

  /** End the pause, if there is one. */
  end() {
    this.#end();
  }
}
