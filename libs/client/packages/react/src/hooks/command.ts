/** Calls that change something: pending, error, abort, and no doubles. */

import { ApiError, type CallOptions, type TapewireClient, Unreachable } from "@tapewire/client";
import { useCallback, useEffect, useRef, useState } from "react";
import { useTapewire } from "../provider.js";

/** What a command does. It passes `options` to `client.call`. */
export type CommandCall<A extends readonly unknown[], T> = (
  client: TapewireClient,
  options: CallOptions,
  ...args: A
) => Promise<T>;

export interface CommandState<T> {
  readonly isPending: boolean;
  /** Why the last run failed; null while one runs, and after one that did not fail. */
  readonly error: Error | null;
  /** Whether that run may have been carried out. The same run again finds out, and does it once. */
  readonly isOutcomeUnknown: boolean;
  /** What the last run that succeeded returned. */
  readonly result: T | undefined;
}

export interface Command<A extends readonly unknown[], T> extends CommandState<T> {
  /**
   * Run the command. While a run is pending, its promise is returned and nothing is sent: two clicks
   * are one order. A run with the same arguments after one whose outcome is unknown has the same
   * idempotency key, so that it is carried out at most once.
   */
  readonly run: (...args: A) => Promise<T>;
  /** Stop waiting for the run. The server may carry it out. */
  readonly abort: () => void;
  /** Forget error and result. */
  readonly reset: () => void;
}

interface Run<T> {
  readonly promise: Promise<T>;
  readonly abort: AbortController;
}

const IDLE = { isPending: false, error: null, isOutcomeUnknown: false, result: undefined } as const;

/**
 * A command of the user.
 *
 * A run outlives the component: an order that was sent is not given up because a dialog closes.
 *
 * @param call  the one of the last render is used
 */
export function useCommand<A extends readonly unknown[], T>(
  call: CommandCall<A, T>,
): Command<A, T> {
  const client = useTapewire();
  const [state, setState] = useState<CommandState<T>>(IDLE);
  const latest = useRef(call);
  const running = useRef<Run<T> | null>(null);
  const unsettled = useRef<{ args: string; key: string } | null>(null);
  useEffect(() => {
    latest.current = call;
  });

  const run = useCallback(
    (...args: A): Promise<T> => {
      if (running.current !== null) return running.current.promise;
      const text = JSON.stringify(args);
      const key = unsettled.current?.args === text ? unsettled.current.key : newKey();
      const abort = new AbortController();
      setState((now) => ({ ...now, isPending: true, error: null, isOutcomeUnknown: false }));
      const options = { signal: abort.signal, idempotencyKey: key };
      const promise = Promise.resolve()
        .then(() => latest.current(client, options, ...args))
        .then(
          (result) => {
            unsettled.current = null;
            finish({ ...IDLE, result });
            return result;
          },
          (cause: unknown) => {
            const error = isError(cause) ? cause : new Error(String(cause));
            const isOutcomeUnknown = mayBeDone(error);
            unsettled.current = isOutcomeUnknown ? { args: text, key } : null;
            finish({ ...IDLE, error, isOutcomeUnknown });
            throw error;
          },
        );
      const finish = (next: CommandState<T>): void => {
        if (running.current?.abort !== abort) return;
        running.current = null;
        setState(next);
      };
      promise.catch(() => {}); // who does not wait reads `error`
      running.current = { promise, abort };
      return promise;
    },
    [client],
  );
  const abort = useCallback(() => running.current?.abort.abort(), []);
  const reset = useCallback(() => {
    if (running.current === null) setState(IDLE);
  }, []);
  return { ...state, run, abort, reset };
}

/** Whether the command may have been carried out although it failed. */
function mayBeDone(error: Error): boolean {
  if (error instanceof ApiError) return error.outcome === "unknown";
  return (
    error instanceof Unreachable || error.name === "AbortError" || error.name === "TimeoutError"
  );
}

/** Also for errors of another realm, and a DOMException that is no Error in some environments. */
function isError(cause: unknown): cause is Error {
  return (
    cause instanceof Error || (typeof cause === "object" && cause !== null && "message" in cause)
  );
}

/** A random key. `crypto.randomUUID` exists on pages of HTTPS only. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
