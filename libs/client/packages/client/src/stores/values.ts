/** Stores of what a view has as it is: one value, or rows by key. */

import type { KeyedReadable, Readable, Unsubscribe } from "../interfaces.js";
import type { TopicSource } from "../source.js";
import type { Rows } from "../views/rows.js";
import { Demand } from "./demand.js";
import { isSameList, KeyedListeners, Value } from "./readable.js";

/**
 * A value of a view. It is asked for while it has a listener, and keeps its last value afterwards.
 *
 * @param onRelease  called when its topic is released
 */
export function viewValue<S, T>(
  source: TopicSource,
  topic: string,
  select: (state: S) => T,
  onRelease?: () => void,
): Readable<T> & { release(): void } {
  const demand = new Demand<S>(
    source,
    topic,
    ({ view }) => value.set(select(view.state)),
    onRelease,
  );
  const value = new Value<T>(select(demand.view.state), demand.use);
  return {
    // Without a listener nothing says that the view has changed.
    get: () => {
      if (!demand.isActive) value.replace(select(demand.view.state));
      return value.get();
    },
    subscribe: value.subscribe,
    release: demand.release,
  };
}

/** Rows of a view by key, sorted by key. */
export class RowsStore<S, V> implements KeyedReadable<V> {
  readonly #demand: Demand<S>;
  readonly #select: (state: S) => Rows<V>;
  readonly #isLast: (value: V) => boolean;
  readonly #listeners: KeyedListeners;
  readonly #keys: Value<readonly string[]>;
  #rows: Rows<V>;
  readonly keys: Readable<readonly string[]>;

  /** @param isLast  which rows are after the others */
  constructor(
    source: TopicSource,
    topic: string,
    select: (state: S) => Rows<V>,
    isLast: (value: V) => boolean = () => false,
  ) {
    this.#select = select;
    this.#isLast = isLast;
    this.#demand = new Demand<S>(source, topic, ({ view }) => this.#take(select(view.state)));
    this.#listeners = new KeyedListeners(this.#demand.use);
    this.#rows = select(this.#demand.view.state);
    this.#keys = new Value<readonly string[]>(this.#sortedKeys(this.#rows), this.#demand.use);
    this.keys = { get: this.#getKeys, subscribe: this.#keys.subscribe };
  }

  get = (key: string): V | undefined => {
    this.#refresh();
    return this.#rows.byKey.get(key)?.value;
  };

  subscribe = (key: string, listener: () => void): Unsubscribe =>
    this.#listeners.add(key, listener);

  release(): void {
    this.#demand.release();
  }

  readonly #getKeys = (): readonly string[] => {
    this.#refresh();
    return this.#keys.get();
  };

  /** Without a listener nothing says that the view has changed. */
  #refresh(): void {
    if (!this.#demand.isActive) this.#take(this.#select(this.#demand.view.state));
  }

  #take(rows: Rows<V>): void {
    const before = this.#rows;
    if (rows === before) return;
    this.#rows = rows;
    const keys = this.#sortedKeys(rows);
    const isMoved = !isSameList(keys, this.#keys.get()) && this.#keys.replace(keys);
    for (const key of this.#listeners.keys()) {
      if (!Object.is(before.byKey.get(key)?.value, rows.byKey.get(key)?.value))
        this.#listeners.notify(key);
    }
    if (isMoved) this.#keys.notify();
  }

  #sortedKeys(rows: Rows<V>): string[] {
    const keys = [...rows.byKey.keys()].sort();
    const isLast = (key: string): boolean => this.#isLast(rows.byKey.get(key)?.value as V);
    return [...keys.filter((key) => !isLast(key)), ...keys.filter(isLast)];
  }
}
