/** A pause that can be ended early. */

import type { Clock } from "./types.js";

export class Pause {
  readonly #clock: Clock;
  #end: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param milliseconds  until the promise is resolved, unless `end` is called */
  wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.setTimeout(() => this.#end(), milliseconds);
      this.#end = () => {
        this.#end = () => {};
        this.#clock.clearTimeout(timer);
        resolve();
      };
    });
  }

  /** End the pause, if there is one. */
  end(): void {
    this.#end();
  }
}
