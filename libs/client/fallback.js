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

import { POLL_INTERVAL_MS, Poller } from "./poller.js";
import { connect } from "./tapewire.js";
import { NamedTimers } from "./timers.js";

/** Failures in a row after which polling starts. With a `retry:` of 5 s that is after 23 s. */
export const TRIES = 2;
/** An open stream without an event after this time counts as failed. */
export const STALL_MS = 10_000;
/** A stream that was rejected for good is tried again after this time. */
export const REOPEN_MS = 25_000;
/** Scales the jitter of delays: at most 26 s pass between two tries. */
const JITTER_SCALE = 0.6;

/** @typedef {import("./tapewire.js").Connection} Connection */
/** @typedef {import("./tapewire.js").State} ConnectionState */
/** @typedef {import("./tapewire.js").StreamEvent} StreamEvent */
/** @typedef {import("./poller.js").PollResult} PollResult */
/** @typedef {import("./rest.js").ApiError} ApiError */
/**
 * @typedef {{name: "connecting"}
 *   | {name: "live"}
 *   | {name: "reconnecting", retryInMs: number, tries: number, of: number, reason: string}
 *   | {name: "polling", everyMs: number, retryInMs: number | null, reason: string, failing: string}
 *   | {name: "signed-out", reason: string}
 *   | {name: "closed", reason: string, error: ApiError | null}} State
 * `tries` counts the failures since the last event, of `of`. `retryInMs` is the time until the next
 * try of the stream: 0 for now, null for not before `retryNow`. `failing` is the error of the last
 * poll, "" when it succeeded. `signed-out` and `closed` are final.
 */
/**
 * @typedef {object} Options
 * @property {(since: string) => Promise<PollResult>} poll  the events after the id `since`, or the
 *   newest for ""; an ApiError that is not transient closes the connection
 * @property {(event: StreamEvent) => void} onEvent
 * @property {(state: State) => void} onState
 * @property {string=} lastEventId  resume after this id
 * @property {string=} user  as for `connect`
 * @property {typeof globalThis.fetch=} fetch
 * @property {import("./inactivity-timeout.js").Clock=} clock
 * @property {(() => number)=} random  in [0, 1)
 */

/**
 * @param {string} url
 * @param {Options} options
 * @returns {Following}
 */
export function follow(url, options) {
  return new Following(url, options);
}

export class Following {
  #url;
  #options;
  #clock;
  #random;
  /** The position while there is no connection. */
  #position;
  /** @type {Connection | null} */
  #connection = null;
  /** Whether the current try of the connection has delivered an event. */
  #hasReceivedEvent = false;
  #failureCount = 0;
  #isClosed = false;
  #poller;
  /** Why the stream failed; "" while it is live. */
  #failureReason = "";
  /** The clock time of the next try; null: only on `retryNow`. @type {number | null} */
  #retryAt = 0;
  /** "stall", "reopen" */
  #timers;

  /**
   * @param {string} url
   * @param {Options} options
   */
  constructor(url, options) {
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
  }

  /** The id up to which all events were delivered; "" for none yet. */
  get lastEventId() {
    return this.#connection?.lastEventId ?? this.#position;
  }

  /** Close for good. */
  close() {
    this.#finish();
  }

  /** Try the stream now. */
  retryNow() {
    if (this.#isClosed) return;
    if (this.#connection) this.#connection.retryNow();
    else this.#open();
  }

  #open() {
    this.#timers.cancel("reopen");
    const { user, fetch, clock } = this.#options;
    /** @type {Connection} */
    const connection = connect(this.#url, {
      onEvent: (event) => this.#onStreamEvent(event),
      onState: (state) => connection === this.#connection && this.#onConnectionState(state),
      lastEventId: this.#position,
      random: () => this.#random() * JITTER_SCALE,
      user,
      fetch,
      clock,
    });
    this.#connection = connection;
  }

  /** @param {StreamEvent} event */
  #onStreamEvent(event) {
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

  /** @param {ConnectionState} state */
  #onConnectionState(state) {
    this.#timers.cancel("stall");
    if (state.name === "live") {
      const stalled = () => this.#startPolling("the stream brings nothing");
      if (!this.#hasReceivedEvent) this.#timers.schedule("stall", STALL_MS, stalled);
    } else if (state.name === "connecting") {
      this.#hasReceivedEvent = false;
      this.#retryAt = this.#clock.performance.now();
      this.#emitState(this.#failureReason === "" ? { name: "connecting" } : this.#reconnectingState(0));
    } else if (state.name === "reconnecting") {
      this.#onConnectionLost(state);
    } else if (state.name === "signed-out") {
      this.#finish(state);
    } else {
      this.#onConnectionRefused(state);
    }
  }

  /** @param {Extract<ConnectionState, {name: "reconnecting"}>} state */
  #onConnectionLost({ retryInMs, reason }) {
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
   *
   * @param {Extract<ConnectionState, {name: "closed"}>} state
   */
  #onConnectionRefused({ reason, error }) {
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

  /** @param {string} reason */
  #startPolling(reason) {
    this.#failureReason = reason;
    if (!this.#poller.isRunning) this.#poller.start();
    this.#emitPollingState();
  }

  /** @param {import("./poller.js").PollResult} result */
  #deliverPollResult({ events, asOf }) {
    this.#position = asOf;
    this.#connection?.skipTo(asOf);
    for (const event of events) {
      try {
        this.#options.onEvent(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error; // reported on the console; polling continues
        });
      }
    }
  }

  /** @param {number} retryInMs */
  #reconnectingState(retryInMs) {
    return /** @type {const} */ ({
      name: "reconnecting",
      retryInMs,
      tries: this.#failureCount,
      of: TRIES,
      reason: this.#failureReason,
    });
  }

  /** @param {State} state  replaced by the polling state while polling */
  #emitState(state) {
    if (this.#poller.isRunning) this.#emitPollingState();
    else this.#options.onState(state);
  }

  #emitPollingState() {
    const now = this.#clock.performance.now();
    this.#options.onState({
      name: "polling",
      everyMs: POLL_INTERVAL_MS,
      retryInMs: this.#retryAt === null ? null : Math.max(this.#retryAt - now, 0),
      reason: this.#failureReason,
      failing: this.#poller.lastError,
    });
  }

  /** @param {State} [last] */
  #finish(last) {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#position = this.lastEventId;
    this.#poller.stop();
    this.#timers.cancel("stall", "reopen");
    const connection = this.#connection;
    this.#connection = null;
    connection?.close();
    if (last) this.#options.onState(last);
  }
}

/**
 * @param {ApiError} error
 * @returns {State}
 */
function finalStateFor(error) {
  if (error.statusCode === 401 || error.isAccountChanged) return { name: "signed-out", reason: error.message };
  return { name: "closed", reason: error.message, error };
}
