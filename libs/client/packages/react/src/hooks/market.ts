/** Prices and bars. */

import type { BarInterval, BarSeries, Quote } from "@tapewire/client";
import { useCallback, useEffect, useReducer, useSyncExternalStore } from "react";
import { useTapewire } from "../provider.js";
import { useKeyed, useKeys, useReadable } from "./stores.js";

const NO_BARS: BarSeries = { bars: [], isLoaded: false };
const NO_SERIES = { get: (): BarSeries => NO_BARS, subscribe: () => () => {} };

/** All symbols that have a quote, sorted. */
export function useSymbols(): readonly string[] {
  return useKeys(useTapewire().prices);
}

export interface QuoteState {
  readonly quote: Quote | undefined;
  /** Whether the price is current: quoted, not stale, on a live connection. Show others as old. */
  readonly isLive: boolean;
}

/** The quote of a symbol; nothing for an empty one. */
export function useQuote(symbol: string | null | undefined): QuoteState {
  const quote = useKeyed(useTapewire().prices, symbol);
  return { quote, isLive: useIsLive(symbol) };
}

/** Whether the price of a symbol is current. */
export function useIsLive(symbol: string | null | undefined): boolean {
  const { prices } = useTapewire();
  const subscribe = useCallback(
    (listener: () => void) => (symbol ? prices.subscribe(symbol, listener) : () => {}),
    [prices, symbol],
  );
  const get = useCallback(() => Boolean(symbol) && prices.isLive(symbol ?? ""), [prices, symbol]);
  return useSyncExternalStore(subscribe, get, () => false);
}

/** The age of a symbol's quote in seconds, once a second; null without a quote. */
export function useQuoteAge(symbol: string | null | undefined): number | null {
  const { prices } = useTapewire();
  useKeyed(prices, symbol);
  const [, tick] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const timer = setInterval(tick, 1_000);
    return () => clearInterval(timer);
  }, []);
  return symbol ? prices.ageSeconds(symbol) : null;
}

/** A series of bars, the oldest first; empty without a symbol. */
export function useBars(symbol: string | null | undefined, interval: BarInterval): BarSeries {
  const client = useTapewire();
  return useReadable(symbol ? client.bars(symbol, interval) : NO_SERIES, NO_BARS);
}
