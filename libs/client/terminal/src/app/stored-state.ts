/**
 * State that survives a reload and navigation: `session` belongs to the tab (ticket, sort, filters),
 * `local` to the browser (theme, layout). Values are JSON; what cannot be read counts as absent.
 */

import { useCallback, useState } from "react";

const PREFIX = "tapewire:";

export type StorageKind = "session" | "local";
export type Setter<T> = (value: T | ((previous: T) => T)) => void;

/**
 * `useState` with a memory.
 *
 * @param key      unique in the terminal, such as "blotter.filter"
 * @param initial  used when nothing is stored, or when `isValid` refuses what is stored
 * @param isValid  checks what an older version may have stored; without it the type of `initial` decides
 */
export function useStoredState<T>(
  key: string,
  initial: T,
  {
    storage = "session",
    isValid,
  }: { storage?: StorageKind; isValid?: (value: unknown) => boolean } = {},
): [T, Setter<T>] {
  const [value, setValue] = useState<T>(() => readStored(storage, key, initial, isValid));
  const set = useCallback<Setter<T>>(
    (next) => {
      setValue((previous) => {
        const chosen = typeof next === "function" ? (next as (previous: T) => T)(previous) : next;
        writeStored(storage, key, chosen);
        return chosen;
      });
    },
    [storage, key],
  );
  return [value, set];
}

export function readStored<T>(
  storage: StorageKind,
  key: string,
  initial: T,
  isValid: (value: unknown) => boolean = (value) => hasTypeOf(value, initial),
): T {
  try {
    const text = area(storage).getItem(PREFIX + key);
    if (text === null) return initial;
    const value: unknown = JSON.parse(text);
    return isValid(value) ? (value as T) : initial;
  } catch {
    return initial;
  }
}

/** A full or forbidden storage is ignored: the state then lives as long as the page. */
export function writeStored(storage: StorageKind, key: string, value: unknown): void {
  try {
    area(storage).setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // Nothing to do: the value is still in memory.
  }
}

/** Forget all values of the tab that begin with `keyPrefix`, such as those of a user who signed out. */
export function forgetStored(storage: StorageKind, keyPrefix: string): void {
  try {
    const store = area(storage);
    const keys = Array.from({ length: store.length }, (_, index) => store.key(index) ?? "");
    for (const key of keys) if (key.startsWith(PREFIX + keyPrefix)) store.removeItem(key);
  } catch {
    // Nothing is stored where storage is forbidden.
  }
}

function area(storage: StorageKind): Storage {
  return storage === "local" ? localStorage : sessionStorage;
}

function hasTypeOf(value: unknown, initial: unknown): boolean {
  if (Array.isArray(initial)) return Array.isArray(value);
  if (initial === null) return true;
  return typeof value === typeof initial && value !== null && !Array.isArray(value);
}
