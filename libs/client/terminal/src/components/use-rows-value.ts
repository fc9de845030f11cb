import type { KeyedReadable } from "@tapewire/client";
import { useCallback, useSyncExternalStore } from "react";

/**
 * What `read` says of the rows of `keys`, as they are now. The component renders again when that
 * changes; so `read` returns the same value for the same rows: a row, a number or a text.
 */
export function useRowsValue<T>(
  store: KeyedReadable<unknown>,
  keys: readonly string[],
  read: () => T,
): T {
  const subscribe = useCallback(
    (listener: () => void) => {
      const ends = keys.map((key) => store.subscribe(key, listener));
      return () => {
        for (const end of ends) end();
      };
    },
    [store, keys],
  );
  return useSyncExternalStore(subscribe, read);
}
