/** The symbols that the user has starred, and whether only these are shown. Both stay in this browser. */

import { useMemo } from "react";

import { useStoredState } from "../../app/stored-state.js";

export interface Watchlist {
  readonly starred: readonly string[];
  /** Only starred symbols are shown. Never while there are none. */
  readonly isNarrowed: boolean;
  isStarred(symbol: string): boolean;
  /** Star a symbol, or take its star away. */
  toggle(symbol: string): void;
  narrow(isNarrowed: boolean): void;
}

const NOTHING: readonly string[] = [];
const isSymbols = (value: unknown) =>
  Array.isArray(value) && value.every((symbol) => typeof symbol === "string");

export function useWatchlist(): Watchlist {
  const [starred, setStarred] = useStoredState<readonly string[]>("watchlist.starred", NOTHING, {
    storage: "local",
    isValid: isSymbols,
  });
  const [isNarrowed, setNarrowed] = useStoredState("watchlist.narrowed", false, {
    storage: "local",
  });
  return useMemo(
    () => ({
      starred,
      isNarrowed: isNarrowed && starred.length > 0,
      isStarred: (symbol) => starred.includes(symbol),
      toggle: (symbol) =>
        setStarred((previous) =>
          previous.includes(symbol)
            ? previous.filter((other) => other !== symbol)
            : [...previous, symbol],
        ),
      narrow: setNarrowed,
    }),
    [starred, setStarred, isNarrowed, setNarrowed],
  );
}
