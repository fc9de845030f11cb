/**
 * Hooks over any store of the client. A component that uses one renders when that value changes, and
 * asks the server for it while it is mounted; components share one subscription.
 */

import type { KeyedReadable, ListStatus, PagedStore, Readable } from "@tapewire/client";
import { useCallback, useSyncExternalStore } from "react";

const NO_KEYS: readonly string[] = [];
const LOADING: ListStatus = { name: "loading" };
const nothing = (): undefined => undefined;
const unsubscribed = (): (() => void) => nothing;

/**
 * The value of a store.
 *
 * @param initial  what a server renders, and a browser while it takes the server's page over; by
 *   default what the store has then
 */
export function useReadable<T>(store: Readable<T>, initial?: T): T {
  const getInitial = initial === undefined ? store.get : (): T => initial;
  return useSyncExternalStore(store.subscribe, store.get, getInitial);
}

/**
 * One row of a store by its key; undefined while there is none.
 *
 * @param key  undefined, null or "" for no row, which asks for nothing
 */
export function useKeyed<V>(
  store: Pick<KeyedReadable<V>, "get" | "subscribe">,
  key: string | null | undefined,
): V | undefined {
  const subscribe = useCallback(
    (listener: () => void) => (key ? store.subscribe(key, listener) : unsubscribed()),
    [store, key],
  );
  const get = useCallback(() => (key ? store.get(key) : undefined), [store, key]);
  return useSyncExternalStore(subscribe, get, nothing);
}

/** The keys of a store in its order: the component renders when a row comes, goes or moves. */
export function useKeys(store: KeyedReadable<unknown>): readonly string[] {
  return useReadable(store.keys, NO_KEYS);
}

/** Whether the list was loaded. */
export function useListStatus(store: PagedStore<unknown>): ListStatus {
  return useReadable(store.status, LOADING);
}

/** A list of rows, to be shown by a component for each key. */
export interface List {
  /** The newest first. */
  readonly keys: readonly string[];
  readonly status: ListStatus;
  /** Whether there are older rows. */
  readonly hasMore: boolean;
  /** Load the next page of them. Never rejects: `status` says what went wrong. */
  readonly loadMore: () => Promise<void>;
}

/** A list: its keys, how far it is loaded, and how to load more. Rows are read by `useKeyed`. */
export function useList(store: PagedStore<unknown>): List {
  const loadMore = useCallback(() => store.loadMore().catch(() => {}), [store]);
  return {
    keys: useKeys(store),
    status: useListStatus(store),
    hasMore: useReadable(store.hasMore, false),
    loadMore,
  };
}
