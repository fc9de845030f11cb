/**
 * A stream, and polling while there is none.
 *
 *     const feed = follow("/api/v2/stream", {
 *       poll: async (since) => ({ events: …, asOf: "…", more: false }),
 *       onEvent: ({ type, data }) => …,
 *       onState: ({ name }) => …,
 *     });
 *
 * A lost stream is tried again by its connection, after growing delays. When the last of `tries`
 * has failed, or an open stream brings nothing (some proxies hold streams back), `poll` is asked in
 * its place, while the connection goes on trying. The two share one place in the log, so nothing is
 * lost or doubled between them: polls move the connection's place, and a poll that is answered
 * after the stream has come back is thrown away, since the stream brings the same.
 * Start reading at `#see` and `#hear`, what becomes of the connection.
 */

import { POLL_MS, Polling } from "./polling.js";
import { connect } from "./tapewire.js";
import { Timers } from "./timers.js";

/** Failed tries in a row after which polling begins. With a `retry:` of 5 s that is after 23 s. */
export const TRIES = 2;
/** An open stream without an event after this long counts as none. */
export const STALL_MS = 10_000;
/** A stream that was refused for good is tried again after this long. */
export const REOPEN_MS = 25_000;
/** Share of the jitter that delays have here: at most 26 s pass between two tries. */
const JITTER_SHARE = 0.6;

/** @typedef {import("./tapewire.js").Connection} Connection */
/** @typedef {import("./tapewire.js").State} ConnectionState */
/** @typedef {import("./tapewire.js").StreamEvent} StreamEvent */
/** @typedef {import("./polling.js").Found} Found */
/** @typedef {import("./rest.js").ApiError} ApiError */
/**
 * @typedef {{name: "connecting"}
 *   | {name: "live"}
 *   | {name: "reconnecting", retryInMs: number, tries: number, of: number, reason: string}
 *   | {name: "polling", everyMs: number, retryInMs: number | null, reason: string, failing: string}
 *   | {name: "signed-out", reason: string}
 *   | {name: "closed", reason: string, error: ApiError | null}} State
 * `tries` counts the tries that failed since the last event, of `of`. `retryInMs` is when the stream
 * is tried next: 0 now, null not before `retryNow`. `failing` says why the last poll had no answer;
 * "" when it had. `signed-out` and `closed` are final.
 */
/**
 * @typedef {object} Options
 * @property {(since: string) => Promise<Found>} poll  what came after the id `since`, "" for what
 *   is new; an ApiError that is not transient ends the following
 * @property {(event: StreamEvent) => void} onEvent
 * @property {(state: State) => void} onState
 * @property {string=} lastEventId  go on after this id
 * @property {typeof globalThis.fetch=} fetch
 * @property {import("./watchdog.js").Clock=} clock
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
  /** Where to go on without a connection. */
  #position;
  /** @type {Connection | null} */
  #connection = null;
  /** Whether the connection's present try has brought an event. */
  #heard = false;
  #failed = 0;
  #over = false;
  #polling;
  /** What became of the stream; "" while it is there. */
  #reason = "";
  /** When it is tried, by the clock; null: not by itself. @type {number | null} */
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
    this.#timers = new Timers(this.#clock);
    this.#random = options.random ?? Math.random;
    this.#position = options.lastEventId ?? "";
    this.#polling = new Polling({
      ask: () => options.poll(this.lastEventId),
      onFound: (found) => this.#take(found),
      // The server is there again: no need to wait until the next try is due.
      onBack: () => this.#connection?.retryNow(),
      onTrouble: () => this.#tellPolling(),
      onRefused: (error) => this.#end(finalOf(error)),
      clock: this.#clock,
      random: this.#random,
    });
    this.#open();
  }

  /** The id up to which everything was delivered; "": none yet. */
  get lastEventId() {
    return this.#connection?.lastEventId ?? this.#position;
  }

  /** Stop for good. */
  close() {
    this.#end();
  }

  /** Try the stream now. */
  retryNow() {
    if (this.#over) return;
    if (this.#connection) this.#connection.retryNow();
    else this.#open();
  }

  #open() {
    this.#timers.stop("reopen");
    const { fetch, clock } = this.#options;
    /** @type {Connection} */
    const connection = connect(this.#url, {
      onEvent: (event) => this.#hear(event),
      onState: (state) => connection === this.#connection && this.#see(state),
      lastEventId: this.#position,
      random: () => this.#random() * JITTER_SHARE,
      fetch,
      clock,
    });
    this.#connection = connection;
  }

  /** @param {StreamEvent} event */
  #hear(event) {
    if (!this.#heard) {
      this.#heard = true;
      this.#failed = 0;
      this.#reason = "";
      this.#timers.stop("stall");
      this.#polling.stop();
      this.#options.onState({ name: "live" });
    }
    this.#options.onEvent(event);
  }

  /** @param {ConnectionState} state */
  #see(state) {
    this.#timers.stop("stall");
    if (state.name === "live") {
      const stalled = () => this.#poll("the stream brings nothing");
      if (!this.#heard) this.#timers.after("stall", STALL_MS, stalled);
    } else if (state.name === "connecting") {
      this.#heard = false;
      this.#retryAt = this.#clock.performance.now();
      this.#tell(this.#reason === "" ? { name: "connecting" } : this.#waiting(0));
    } else if (state.name === "reconnecting") {
      this.#lost(state);
    } else if (state.name === "signed-out") {
      this.#end(state);
    } else {
      this.#refused(state);
    }
  }

  /** @param {Extract<ConnectionState, {name: "reconnecting"}>} state */
  #lost({ retryInMs, reason }) {
    if (!this.#heard) this.#failed += 1;
    this.#heard = false;
    this.#retryAt = this.#clock.performance.now() + retryInMs;
    this.#reason = reason;
    if (this.#failed >= TRIES) this.#poll(reason);
    else this.#tell(this.#waiting(retryInMs));
  }

  /**
   * The stream is refused for good, says the server, or a proxy before it. What plain calls are
   * answered decides whether that is so.
   *
   * @param {Extract<ConnectionState, {name: "closed"}>} state
   */
  #refused({ reason, error }) {
    this.#position = this.lastEventId;
    this.#connection = null;
    this.#heard = false;
    this.#failed = Math.max(this.#failed + 1, TRIES);
    // No error: one that was pushed out, and would push out the next one in its turn.
    const pushedOut = error === null;
    this.#retryAt = pushedOut ? null : this.#clock.performance.now() + REOPEN_MS;
    if (!pushedOut) this.#timers.after("reopen", REOPEN_MS, () => this.#open());
    this.#poll(reason);
  }

  /** @param {string} reason */
  #poll(reason) {
    this.#reason = reason;
    if (!this.#polling.running) this.#polling.start();
    this.#tellPolling();
  }

  /** @param {import("./polling.js").Found} found */
  #take({ events, asOf }) {
    this.#position = asOf;
    this.#connection?.skipTo(asOf);
    for (const event of events) {
      try {
        this.#options.onEvent(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error; // to the console, not into the polling
        });
      }
    }
  }

  /** @param {number} retryInMs */
  #waiting(retryInMs) {
    return /** @type {const} */ ({
      name: "reconnecting",
      retryInMs,
      tries: this.#failed,
      of: TRIES,
      reason: this.#reason,
    });
  }

  /** @param {State} state  polling is told of instead while there is some */
  #tell(state) {
    if (this.#polling.running) this.#tellPolling();
    else this.#options.onState(state);
  }

  #tellPolling() {
    const now = this.#clock.performance.now();
    this.#options.onState({
      name: "polling",
      everyMs: POLL_MS,
      retryInMs: this.#retryAt === null ? null : Math.max(this.#retryAt - now, 0),
      reason: this.#reason,
      failing: this.#polling.failing,
    });
  }

  /** @param {State} [last] */
  #end(last) {
    if (this.#over) return;
    this.#over = true;
    this.#position = this.lastEventId;
    this.#polling.stop();
    this.#timers.stop("stall", "reopen");
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
function finalOf(error) {
  if (error.statusCode === 401) return { name: "signed-out", reason: error.message };
  return { name: "closed", reason: error.message, error };
}
