/** Values with listeners, the base of all stores. */

import { callSafely } from "../callbacks.js";
import type { Readable, Unsubscribe } from "../interfaces.js";

/** Listeners, and what to do while there are any. Start and stop are called in pairs. */
export class Listeners {
  readonly #listeners = new Set<{ readonly run: () => void }>();
  readonly #onFirst: (() => Unsubscribe) | undefined;
  #stop: Unsubscribe | undefined;

  /** @param onFirst  called before the first listener is added; its result after the last one has left */
  constructor(onFirst?: () => Unsubscribe) {
    this.#onFirst = onFirst;
  }

  get size(): number {
    return this.#listeners.size;
  }

  /** The same function added twice is called twice, and leaves one by one. */
  add(run: () => void): Unsubscribe {
    const listener = { run };
    const isFirst = this.#listeners.size === 0;
    this.#listeners.add(listener);
    if (isFirst) this.#stop = this.#onFirst?.();
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
      const stop = this.#stop;
      this.#stop = undefined;
      stop?.();
    };
  }

  /** Call all. An error of one is reported, and the others are called. */
  notify(): void {
    for (const listener of [...this.#listeners]) {
      if (!this.#listeners.has(listener)) continue;
      callSafely(listener.run, undefined);
    }
  }
}

/** A value that is set. */
export class Value<T> implements Readable<T> {
  #value: T;
  readonly #listeners: Listeners;

  /** @param onFirst  as in `Listeners` */
  constructor(value: T, onFirst?: () => Unsubscribe) {
    this.#value = value;
    this.#listeners = new Listeners(onFirst);
  }

  get = (): T => this.#value;

  subscribe = (listener: () => void): Unsubscribe => this.#listeners.add(listener);

  /** Notifies if it is another value. */
  set(value: T): void {
    if (this.replace(value)) this.notify();
  }

  /** Set without notifying, so that several values can change together. Whether it is another one. */
  replace(value: T): boolean {
    if (Object.is(this.#value, value)) return false;
    this.#value = value;
    return true;
  }

  notify(): void {
    this.#listeners.notify();
  }
}

/** Listeners by key. */
export class KeyedListeners {
  readonly #byKey = new Map<string, Listeners>();
  readonly #onFirst: ((key: string) => Unsubscribe) | undefined;

  /** @param onFirst  as in `Listeners`, for each key */
  constructor(onFirst?: (key: string) => Unsubscribe) {
    this.#onFirst = onFirst;
  }

  keys(): string[] {
    return [...this.#byKey.keys()];
  }

  add(key: string, listener: () => void): Unsubscribe {
    let listeners = this.#byKey.get(key);
    if (listeners === undefined) {
      listeners = new Listeners(() => {
        const stop = this.#onFirst?.(key);
        return () => {
          this.#byKey.delete(key);
          stop?.();
        };
      });
      this.#byKey.set(key, listeners);
    }
    return listeners.add(listener);
  }

  notify(key: string): void {
    this.#byKey.get(key)?.notify();
  }
}

/** Whether two lists have the same elements in the same order. */
export function isSameList(one: readonly unknown[], other: readonly unknown[]): boolean {
  return (
    one.length === other.length && one.every((element, index) => Object.is(element, other[index]))
  );
}
