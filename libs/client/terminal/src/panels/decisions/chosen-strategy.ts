/** The strategy whose decisions are shown; "" for all. Other panels choose it too. */

import { useSyncExternalStore } from "react";

import { readStored, writeStored } from "../../app/stored-state.js";

const KEY = "decisions.strategy";
const listeners = new Set<() => void>();

export function chooseStrategy(strategyId: string): void {
  writeStored("session", KEY, strategyId);
  for (const listener of listeners) listener();
}

export function useChosenStrategy(): string {
  return useSyncExternalStore(subscribe, () => readStored("session", KEY, ""));
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
