import { useReadable, useTapewire } from "@tapewire/react";
import { useCallback } from "react";

import { useStoredState } from "./stored-state.js";

const NOTHING: readonly string[] = [];
const EMPTY = { get: () => NOTHING, subscribe: () => () => undefined };

/** The symbol that the user chose in this tab, else the first that has a price. */
export function useSelectedSymbol() {
  const [chosen, setChosen] = useStoredState<string | null>("symbol", null, {
    isValid: (value) => typeof value === "string",
  });
  const { prices } = useTapewire();
  const symbols = useReadable(chosen === null ? prices.keys : EMPTY);
  const selectSymbol = useCallback((symbol: string) => setChosen(symbol), [setChosen]);
  return { symbol: chosen ?? symbols[0] ?? null, hasChosenSymbol: chosen !== null, selectSymbol };
}
