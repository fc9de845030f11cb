/** Types of the connection's interface. This module has no code. */

import type { ApiError } from "./rest.js";
import type { Token } from "./token.js";

/** Time, replaceable in tests. `globalThis` is one. */
export interface Clock {
  setTimeout(run: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
  /** Monotonic, in milliseconds. */
  readonly performance: { now(): number };
}

export interface StreamEvent {
  /** "order:update", "price:update", … */
  readonly type: string;
  /** Decoded JSON, or the text when it is not JSON. */
  readonly data: unknown;
  /** null on conflated events, which have no position. */
  readonly id: string | null;
}

/**
 * The state of a connection.
 *
 * `tries` counts the failures since the last event. `isPolling`: a proxy holds streams back, and
 * events arrive by long-polling. `isSilent`: nothing has arrived for so long that the prices of the
 * stream may be too old. `signed-out` and `closed` are final.
 */
export type State =
  | { readonly name: "connecting"; readonly tries: number }
  | { readonly name: "live"; readonly isPolling?: true; readonly isSilent?: true }
  | {
      readonly name: "reconnecting";
      readonly retryInMs: number;
      readonly tries: number;
      readonly reason: string;
    }
  | { readonly name: "signed-out"; readonly reason: string }
  | { readonly name: "closed"; readonly reason: string; readonly error: ApiError | null };

export type FinalState = Extract<State, { name: "signed-out" | "closed" }>;

/** What calls and connections have in common. */
export interface RequestOptions {
  /**
   * The user whom the request is meant for. When another one is signed in, a call fails with
   * `isAccountChanged`, and the state of a stream is `signed-out`.
   */
  readonly user?: string | undefined;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** "same-origin" by default. */
  readonly credentials?: RequestCredentials | undefined;
  /** A bearer token instead of the session cookie. A function is asked again before it expires and after a 401. */
  readonly token?: Token | undefined;
  /** Aborting it ends a call with an AbortError, and closes a connection. */
  readonly signal?: AbortSignal | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
}

export interface ConnectOptions extends RequestOptions {
  /** Not awaited; an error that it throws is reported, and the stream continues. */
  readonly onEvent: (event: StreamEvent) => void;
  readonly onState?: ((state: State) => void) | undefined;
  /**
   * Everything that a stream opens with has arrived: the snapshot, or what is later than the last
   * event id. Called for each request, after its events.
   */
  readonly onCaughtUp?: (() => void) | undefined;
  /** Resume after this id instead of starting with a snapshot. */
  readonly lastEventId?: string | undefined;
  /** Without a position, begin by polling: something is known to hold streams back here. */
  readonly polls?: boolean | undefined;
  /** The keepalive interval until the `connected` event says another one. */
  readonly keepaliveMs?: number | undefined;
  readonly clock?: Clock | undefined;
  /** In [0, 1). */
  readonly random?: (() => number) | undefined;
}

/** The content of a topic stream, as `update` sends and returns it. */
export interface StreamContent {
  readonly topics: readonly string[];
  /** null: all. */
  readonly symbols: readonly string[] | null;
  readonly maxRate: number;
}
