import { useMemo } from "react";

import { useStoredState } from "../../app/stored-state.js";

export interface Watchlist {
  /** The symbols that the user has chosen, in the order of choosing; null: all symbols. */
  readonly chosen: readonly string[] | null;
  isChosen(symbol: string): boolean;
  toggle(symbol: string): void;
  showAll(): void;
}

const isSymbols = (value: unknown) =>
  value === null || (Array.isArray(value) && value.every((symbol) => typeof symbol === "string"));

/** The user's own choice of symbols, remembered in this browser. */
export function useWatchlist(): Watchlist {
  const [chosen, setChosen] = useStoredState<readonly string[] | null>("watchlist.symbols", null, {
    storage: "local",
    isValid: isSymbols,
  });
  return useMemo(
    () => ({
      chosen,
      isChosen: (symbol) => chosen?.includes(symbol) ?? false,
      toggle: (symbol) =>
        setChosen((previous) => {
          const next = previous?.includes(symbol)
            ? previous.filter((other) => other !== symbol)
            : [...(previous ?? []), symbol];
          return next.length === 0 ? null : next;
        }),
      showAll: () => setChosen(null),
    }),
    [chosen, setChosen],
  );
}
