/**
 * A stream that falls back to polling.
 *
 *     const feed = follow("/api/v2/stream", {
 *       poll: async (since) => ({ events: …, asOf: "…", more: false }),
 *       onEvent: ({ type, data }) => …,
 *       onState: ({ name }) => …,
 *     });
 *
 * The connection retries a lost stream with growing delays. After `TRIES` failures in a row, or
 * when an open stream delivers nothing (some proxies buffer streams), this module calls `poll`
 * instead, and the connection keeps retrying. Both share one position in the log, therefore nothing
 * is lost or delivered twice: polls advance the connection's position, and a poll that is answered
 * after the stream is back is discarded, because the stream delivers the same events.
 * Start reading at `#onConnectionState` and `#onStreamEvent`.
 */

import { callSafely } from "./callbacks.js";
import { POLL_INTERVAL_MS, Poller, type PollResult } from "./poller.js";
import type { ApiError } from "./rest.js";
import { type Connection, connect } from "./tapewire.js";
import { NamedTimers } from "./timers.js";
import type { Clock, State as ConnectionState, RequestOptions, StreamEvent } from "./types.js";

export type { PollResult } from "./poller.js";

/** Failures in a row after which polling starts. With a `retry:` of 5 s that is after 23 s. */
export const TRIES = 2;
/** An open stream without an event after this time counts as failed. */
export const STALL_MS = 10_000;
/** A stream that was rejected for good is tried again after this time. */
export const REOPEN_MS = 25_000;
/** Scales the jitter of delays: at most 26 s pass between two tries. */
const JITTER_SCALE = 0.6;

/**
 * The state of a stream with polling as its fallback.
 *
 * `tries` counts the failures since the last event, of `of`. `retryInMs` is the time until the next
 * try of the stream: 0 for now, null for not before `retryNow`. `failing` is the error of the last
 * poll, "" when it succeeded. `signed-out` and `closed` are final.
 */
export type State =
  | { readonly name: "connecting" }
  | { readonly name: "live" }
  | {
      readonly name: "reconnecting";
      readonly retryInMs: number;
      readonly tries: number;
      readonly of: number;
      readonly reason: string;
    }
  | {
      readonly name: "polling";
      readonly everyMs: number;
      readonly retryInMs: number | null;
      readonly reason: string;
      readonly failing: string;
    }
  | { readonly name: "signed-out"; readonly reason: string }
  | { readonly name: "closed"; readonly reason: string; readonly error: ApiError | null };

export interface FollowOptions extends RequestOptions {
  /**
   * The events after the id `since`, or the newest for ""; an ApiError that is not transient closes
   * the connection.
   */
  readonly poll: (since: string) => Promise<PollResult>;
  readonly onEvent: (event: StreamEvent) => void;
  readonly onState: (state: State) => void;
  /** Resume after this id. */
  readonly lastEventId?: string | undefined;
  readonly clock?: Clock | undefined;
  /** In [0, 1). */
  readonly random?: (() => number) | undefined;
}

/** Open a stream that falls back to polling, until `close` or a final state. */
export function follow(url: string, options: FollowOptions): Following {
  return new Following(url, options);
}

export class Following {
  readonly #url: string;
  readonly #options: FollowOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  /** The position while there is no connection. */
  #position: string;
  #connection: Connection | null = null;
  /** Whether the current try of the connection has delivered an event. */
  #hasReceivedEvent = false;
  #failureCount = 0;
  #isClosed = false;
  readonly #onAbort = (): void => this.close();
  readonly #poller: Poller;
  /** Why the stream failed; "" while it is live. */
  #failureReason = "";
  /** The clock time of the next try; null: only on `retryNow`. */
  #retryAt: number | null = 0;
  /** "stall", "reopen" */
  readonly #timers: NamedTimers;

  constructor(url: string, options: FollowOptions) {
    this.#url = url;
    this.#options = options;
    this.#clock = options.clock ?? globalThis;
    this.#timers = new NamedTimers(this.#clock);
    this.#random = options.random ?? Math.random;
    this.#position = options.lastEventId ?? "";
    this.#poller = new Poller({
      poll: () => options.poll(this.lastEventId),
      onResult: (result) => this.#deliverPollResult(result),
      // The server answers again: do not wait until the next try is due.
      onRecovered: () => this.#connection?.retryNow(),
      onErrorChanged: () => this.#emitPollingState(),
      onFatalError: (error) => this.#finish(finalStateFor(error)),
      clock: this.#clock,
      random: this.#random,
    });
    this.#open();
    options.signal?.addEventListener("abort", this.#onAbort);
    if (options.signal?.aborted) this.close();
  }

  /** The id up to which all events were delivered; "" for none yet. */
  get lastEventId(): string {
    return this.#connection?.lastEventId ?? this.#position;
  }

  /** Close for good. */
  close(): void {
    this.#finish();
  }

  /** Try the stream now. */
  retryNow(): void {
    if (this.#isClosed) return;
    if (this.#connection) this.#connection.retryNow();
    else this.#open();
  }

  #open(): void {
    this.#timers.cancel("reopen");
    const { user, headers, credentials, token, fetch, clock } = this.#options;
    const connection: Connection = connect(this.#url, {
      onEvent: (event) => this.#onStreamEvent(event),
      onState: (state) => connection === this.#connection && this.#onConnectionState(state),
      lastEventId: this.#position,
      random: () => this.#random() * JITTER_SCALE,
      user,
      headers,
      credentials,
      token,
      fetch,
      clock,
    });
    this.#connection = connection;
  }

  #onStreamEvent(event: StreamEvent): void {
    if (!this.#hasReceivedEvent) {
      this.#hasReceivedEvent = true;
      this.#failureCount = 0;
      this.#failureReason = "";
      this.#timers.cancel("stall");
      this.#poller.stop();
      this.#options.onState({ name: "live" });
    }
    this.#options.onEvent(event);
  }

  #onConnectionState(state: ConnectionState): void {
    this.#timers.cancel("stall");
    if (state.name === "live") {
      const stalled = () => this.#startPolling("the stream brings nothing");
      if (!this.#hasReceivedEvent) this.#timers.schedule("stall", STALL_MS, stalled);
    } else if (state.name === "connecting") {
      this.#hasReceivedEvent = false;
      this.#retryAt = this.#clock.performance.now();
      this.#emitState(
        this.#failureReason === "" ? { name: "connecting" } : this.#reconnectingState(0),
      );
    } else if (state.name === "reconnecting") {
      this.#onConnectionLost(state);
    } else if (state.name === "signed-out") {
      this.#finish(state);
    } else {
      this.#onConnectionRefused(state);
    }
  }

  #onConnectionLost({
    retryInMs,
    reason,
  }: Extract<ConnectionState, { name: "reconnecting" }>): void {
    if (!this.#hasReceivedEvent) this.#failureCount += 1;
    this.#hasReceivedEvent = false;
    this.#retryAt = this.#clock.performance.now() + retryInMs;
    this.#failureReason = reason;
    if (this.#failureCount >= TRIES) this.#startPolling(reason);
    else this.#emitState(this.#reconnectingState(retryInMs));
  }

  /**
   * The server, or a proxy in front of it, rejects the stream for good. The answers to polls decide
   * whether that is so.
   */
  #onConnectionRefused({ reason, error }: Extract<ConnectionState, { name: "closed" }>): void {
    this.#position = this.lastEventId;
    this.#connection = null;
    this.#hasReceivedEvent = false;
    this.#failureCount = Math.max(this.#failureCount + 1, TRIES);
    // Without an error, the connection exceeded the user's limit; reopening it would close another.
    const isOverLimit = error === null;
    this.#retryAt = isOverLimit ? null : this.#clock.performance.now() + REOPEN_MS;
    if (!isOverLimit) this.#timers.schedule("reopen", REOPEN_MS, () => this.#open());
    this.#startPolling(reason);
  }

  #startPolling(reason: string): void {
    this.#failureReason = reason;
    if (!this.#poller.isRunning) this.#poller.start();
    this.#emitPollingState();
  }

  #deliverPollResult({ events, asOf }: PollResult): void {
    this.#position = asOf;
    this.#connection?.skipTo(asOf);
    for (const event of events) callSafely(this.#options.onEvent, event);
  }

  #reconnectingState(retryInMs: number): State {
    return {
      name: "reconnecting",
      retryInMs,
      tries: this.#failureCount,
      of: TRIES,
      reason: this.#failureReason,
    };
  }

  /** @param state  replaced by the polling state while polling */
  #emitState(state: State): void {
    if (this.#poller.isRunning) this.#emitPollingState();
    else this.#options.onState(state);
  }

  #emitPollingState(): void {
    const now = this.#clock.performance.now();
    this.#options.onState({
      name: "polling",
      everyMs: POLL_INTERVAL_MS,
      retryInMs: this.#retryAt === null ? null : Math.max(this.#retryAt - now, 0),
      reason: this.#failureReason,
      failing: this.#poller.lastError,
    });
  }

  #finish(last?: State): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#position = this.lastEventId;
    this.#poller.stop();
    this.#timers.cancel("stall", "reopen");
    const connection = this.#connection;
    this.#connection = null;
    connection?.close();
    if (last) this.#options.onState(last);
  }
}

function finalStateFor(error: ApiError): State {
  if (error.statusCode === 401 || error.isAccountChanged)
    return { name: "signed-out", reason: error.message };
  return { name: "closed", reason: error.message, error };
}
