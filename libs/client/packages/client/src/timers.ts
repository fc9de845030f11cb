/** Timers with names: scheduling a name again replaces its pending timer. */

import type { Clock } from "./types.js";

export class NamedTimers {
  readonly #clock: Clock;
  readonly #pending = new Map<string, unknown>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  schedule(name: string, milliseconds: number, run: () => void): void {
    this.cancel(name);
    const timer = this.#clock.setTimeout(() => {
      this.#pending.delete(name);
      run();
    }, milliseconds);
    this.#pending.set(name, timer);
  }

  cancel(...names: string[]): void {
    for (const name of names) {
      this.#clock.clearTimeout(this.#pending.get(name));
      this.#pending.delete(name);
    }
  }
}
