/**
 * Rows by key, each with the event id as of which it is true. Nothing here changes its arguments; a
 * row that is not concerned stays the same object.
 *
 * Rows come from events, from snapshots and from pages of the REST API, in any order. The id decides
 * which content of a row is newer, and what was removed is remembered for a while, because a page may
 * be older than the removal. Start reading at `Rows`.
 */

import { isNews } from "../position.js";

export interface Row<V> {
  readonly value: V;
  /** The id as of which `value` is true; "" when that is not known. */
  readonly at: string;
  /** The id with which the row came; "" for one of a snapshot or page; or `UNPLACED`. */
  readonly since: string;
}

/** In place of an id: only a change of the row is known, so a list cannot tell where it belongs. */
export const UNPLACED = "?";

export interface Rows<V> {
  /** In the order in which they came. */
  readonly byKey: ReadonlyMap<string, Row<V>>;
  /** The ids with which rows were removed. */
  readonly removed: ReadonlyMap<string, string>;
}

/** How many removals are remembered. */
export const MAX_REMOVED = 500;

export function noRows<V>(): Rows<V> {
  return { byKey: new Map(), removed: new Map() };
}

/** Whether `value` of a row as of `at` may replace one as of `known`. */
function isOlder(at: string, known: string): boolean {
  return at !== known && at !== "" && known !== "" && !isNews(at, known);
}

/** Whether two values say the same. They are JSON. */
export function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null)
    return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const names = Object.keys(one);
  return (
    names.length === Object.keys(other).length &&
    names.every(
      (name) =>
        Object.hasOwn(other, name) &&
        isSame((one as Record<string, unknown>)[name], (other as Record<string, unknown>)[name]),
    )
  );
}

/** Change rows: a copy is made with the first change, once. */
export class RowsDraft<V> {
  readonly #rows: Rows<V>;
  #byKey: Map<string, Row<V>> | null = null;
  #removed: Map<string, string> | null = null;

  constructor(rows: Rows<V>) {
    this.#rows = rows;
  }

  get byKey(): ReadonlyMap<string, Row<V>> {
    return this.#byKey ?? this.#rows.byKey;
  }

  /** The rows with all changes; the given ones without any. */
  finish(): Rows<V> {
    if (this.#byKey === null && this.#removed === null) return this.#rows;
    return { byKey: this.byKey, removed: this.#removed ?? this.#rows.removed };
  }

  /**
   * Add or replace a row, unless what is known is newer.
   *
   * @param at  the id as of which it is true
   * @param since  the id of the event with which it came, for a row that is new
   * @returns whether it was taken
   */
  put(key: string, value: V, at: string, since: string): boolean {
    const known = this.byKey.get(key);
    if (known !== undefined && isOlder(at, known.at)) return false;
    if (this.#isRemovedSince(key, at)) return false;
    const kept = known !== undefined && isSame(known.value, value) ? known.value : value;
    if (known !== undefined && kept === known.value && (at === "" || at === known.at)) return true;
    this.#change().set(key, {
      value: kept,
      at: at === "" ? (known?.at ?? "") : at,
      since: known?.since ?? since,
    });
    return true;
  }

  /** Replace the value of a row that exists, without a new id. */
  revise(key: string, change: (value: V) => V): void {
    const known = this.byKey.get(key);
    if (known === undefined) return;
    const value = change(known.value);
    if (!isSame(known.value, value)) this.#change().set(key, { ...known, value });
  }

  /** Remove a row for good, as of `at`, also one that is not known yet. */
  remove(key: string, at: string): void {
    if (this.byKey.has(key)) this.#change().delete(key);
    this.#removed ??= new Map(this.#rows.removed);
    this.#removed.delete(key);
    this.#removed.set(key, at);
    for (const oldest of this.#removed.keys()) {
      if (this.#removed.size <= MAX_REMOVED) break;
      this.#removed.delete(oldest);
    }
  }

  /** Forget rows without a removal: they may come back. */
  forget(keys: Iterable<string>): void {
    for (const key of keys) if (this.byKey.has(key)) this.#change().delete(key);
  }

  /** Leave only `keys`, in their order. */
  keepOnly(keys: Iterable<string>): void {
    const kept = new Map<string, Row<V>>();
    for (const key of keys) {
      const row = this.byKey.get(key);
      if (row !== undefined) kept.set(key, row);
    }
    const known = [...this.byKey.keys()];
    const names = [...kept.keys()];
    if (known.length === names.length && known.every((key, index) => key === names[index])) return;
    this.#byKey = kept;
  }

  /** Forget the oldest rows beyond `limit`. */
  trim(limit: number): void {
    let surplus = this.byKey.size - limit;
    for (const key of [...this.byKey.keys()]) {
      if (surplus-- <= 0) break;
      this.#change().delete(key);
    }
  }

  #isRemovedSince(key: string, at: string): boolean {
    const removedAt = (this.#removed ?? this.#rows.removed).get(key);
    return removedAt !== undefined && (at === "" || removedAt === "" || !isNews(at, removedAt));
  }

  #change(): Map<string, Row<V>> {
    this.#byKey ??= new Map(this.#rows.byKey);
    return this.#byKey;
  }
}

/** `state` with other fields; `state` itself if they are the ones that it has. */
export function replaceFields<S extends object>(state: S, fields: Partial<S>): S {
  const names = Object.keys(fields) as (keyof S)[];
  return names.every((name) => Object.is(state[name], fields[name]))
    ? state
    : { ...state, ...fields };
}
