import { useTapewire } from "@tapewire/react";
import { useCallback, useEffect, useState } from "react";

import { errorMessage } from "./error-text.js";

export interface Polled<T> {
  /** The last answer; it stays while later ones fail. */
  readonly value: T | null;
  /** Epoch milliseconds of the last answer. */
  readonly at: number | null;
  /** Why the last call failed; "" if it did not. */
  readonly error: string;
  refresh(): void;
}

/** The answer of a call, asked for again every `everyMs` while the page is visible. */
export function usePolled<T>(path: string, everyMs: number): Polled<T> {
  const client = useTapewire();
  const [state, setState] = useState<Omit<Polled<T>, "refresh">>({
    value: null,
    at: null,
    error: "",
  });

  const load = useCallback(
    async (signal?: AbortSignal) => {
      try {
        const value = await client.call<T>("GET", path, undefined, signal ? { signal } : {});
        setState({ value, at: Date.now(), error: "" });
      } catch (error) {
        if (!signal?.aborted) setState((previous) => ({ ...previous, error: errorMessage(error) }));
      }
    },
    [client, path],
  );

  useEffect(() => {
    const abort = new AbortController();
    void load(abort.signal);
    const timer = setInterval(() => document.hidden || void load(abort.signal), everyMs);
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  }, [load, everyMs]);

  return { ...state, refresh: () => void load() };
}
