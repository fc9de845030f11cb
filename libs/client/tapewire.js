/**
 * A resumable stream of Tapewire events in the browser.
 *
 *     const stream = connect("/api/stream/trading", {
 *       onEvent: ({ type, data }) => …,
 *       onState: ({ name }) => …,
 *     });
 *
 * EventSource gives up for good on every status but 200. This client stops on 401, honours
 * `Retry-After` on 429 and 503, reconnects with growing delays after failures and with the server's
 * `retry:` after a clean end, detects a silent connection, and always resumes by event id. When a
 * server announces that it will close the connection, the next one is opened before this one is left.
 * Start reading at `#run`, the loop.
 */

import { callSafely, parseJsonOrText } from "./callbacks.js";
import { FINAL_EVENTS, stateAfter } from "./closing.js";
import { DEFAULT_RETRY_MS, delayBefore } from "./delay.js";
import { Handover } from "./handover.js";
import { isNews } from "./position.js";
import { QuoteOrderFilter } from "./quote-ordering.js";
import { StreamRequest, handoverUrl, requestStream } from "./stream-request.js";

export { CONNECT_TIMEOUT_MS, SILENT_KEEPALIVES } from "./stream-request.js";
export { ApiError, Unreachable, call } from "./rest.js";

/** The keepalive interval of a server whose `connected` event has no `keepaliveMs`. */
export const KEEPALIVE_MS = 30_000;
/** The event by which a stopping server announces that it will close the connection. */
const DRAINING = "stream:draining";

/**
 * @typedef {object} StreamEvent
 * @property {string} type      "order:update", "price:update", …
 * @property {any} data         decoded JSON, or the text when it is not JSON
 * @property {string | null} id null on conflated events, which have no position
 */

/**
 * @typedef {{name: "connecting", tries: number}
 *   | {name: "live"}
 *   | {name: "reconnecting", retryInMs: number, tries: number, reason: string}
 *   | {name: "signed-out", reason: string}
 *   | {name: "closed", reason: string, error: import("./rest.js").ApiError | null}} State
 * `tries` counts the failures since the last event. `signed-out` and `closed` are final.
 */

/**
 * @typedef {object} Options
 * @property {(event: StreamEvent) => void} onEvent not awaited; an error that it throws is
 *   reported, and the stream continues
 * @property {((state: State) => void)=} onState
 * @property {string=} lastEventId  resume after this id instead of starting with a snapshot
 * @property {string=} user  the user whom the stream is meant for: the state is `signed-out` when
 *   another one is signed in
 * @property {Record<string, string>=} headers  sent with every request, for example Authorization
 * @property {RequestCredentials=} credentials  "same-origin" by default
 * @property {number=} keepaliveMs
 * @property {typeof globalThis.fetch=} fetch
 * @property {import("./inactivity-timeout.js").Clock=} clock
 * @property {(() => number)=} random  in [0, 1)
 */

/** @typedef {import("./response-outcome.js").FinalState} FinalState */
/** @typedef {import("./response-outcome.js").RequestOutcome} RequestOutcome */

/**
 * Open a stream. It reconnects until `close` or a final state.
 *
 * @param {string} url
 * @param {Options} options
 * @returns {Connection}
 */
export function connect(url, options) {
  return new Connection(url, options);
}

export class Connection {
  #url;
  #options;
  #clock;
  #position;
  /** @type {State} */
  #state = { name: "connecting", tries: 0 };
  #retryMs = DEFAULT_RETRY_MS;
  #keepaliveMs;
  #failures = 0;
  /** @type {FinalState | null} */
  #finalState = null;
  #quoteFilter = new QuoteOrderFilter();
  /** @type {StreamRequest | null} the request whose events are delivered */
  #request = null;
  /** @type {Handover | null} opens the successor of `#request` */
  #handover = null;
  /** Ends the wait before the next try, if there is one. */
  #endWait = () => {};
  #onOnline = () => this.retryNow();

  /**
   * @param {string} url
   * @param {Options} options
   */
  constructor(url, options) {
    this.#url = url;
    this.#options = options;
    this.#clock = options.clock ?? globalThis;
    this.#position = options.lastEventId ?? "";
    this.#keepaliveMs = options.keepaliveMs ?? KEEPALIVE_MS;
    globalThis.addEventListener?.("online", this.#onOnline);
    // Deferred: the caller must have the connection before the first callback.
    queueMicrotask(() => this.#run());
  }

  /** The id to resume from: of the last delivered event or checkpoint, or "". */
  get lastEventId() {
    return this.#position;
  }

  get state() {
    return this.#state;
  }

  /** Close for good; no event is delivered after this. */
  close() {
    this.#finish({ name: "closed", reason: "closed by this page", error: null });
    this.#endWait();
  }

  /** End the wait before the next try. */
  retryNow() {
    this.#endWait();
  }

  /**
   * Advance to `id`: the caller has the events up to it from another source.
   *
   * @param {string} id
   */
  skipTo(id) {
    this.#advancePosition(id);
  }

  async #run() {
    while (this.#finalState === null) {
      this.#setState({ name: "connecting", tries: this.#failures });
      const outcome = await this.#runRequests();
      if (outcome.kind === "final") this.#finish(outcome.state);
      else if (this.#finalState === null) await this.#waitBeforeRetry(outcome);
    }
    globalThis.removeEventListener?.("online", this.#onOnline);
    this.#setState(this.#finalState);
  }

  /**
   * Run a request, and those that replace it.
   *
   * @returns {Promise<RequestOutcome>} how the last of them ended
   */
  async #runRequests() {
    this.#request = this.#openRequest(null);
    for (;;) {
      const request = this.#request;
      const outcome = await request.ended;
      if (this.#request === request && !this.#switchToNext()) return outcome;
    }
  }

  /** @param {(() => void) | null} onReady  for a request that replaces `#request` */
  #openRequest(onReady) {
    const url = onReady === null ? this.#url : handoverUrl(this.#url);
    return new StreamRequest({
      request: (signal) => requestStream(url, this.#options, this.#position, signal),
      clock: this.#clock,
      keepaliveMs: () => this.#keepaliveMs,
      onBlock: (block) => this.#onBlock(block),
      onId: (id) => this.#advancePosition(id),
      onRetry: (milliseconds) => (this.#retryMs = milliseconds),
      onOpen: () => {
        if (this.#state.name !== "live") this.#setState({ name: "live" });
      },
      onReady,
    });
  }

  /** Open the successor of `#request`, which the server will close soon. */
  #startHandover() {
    this.#handover ??= new Handover({
      open: () => this.#openRequest(() => this.#switchToNext()),
      clock: this.#clock,
      random: this.#options.random ?? Math.random,
    });
  }

  /**
   * Replace `#request` by its successor, even if that is still opening. Both send all events after
   * the same position; those of the successor that were delivered already are dropped.
   *
   * @returns {boolean} false: there is no successor
   */
  #switchToNext() {
    const next = this.#handover?.takeNext() ?? null;
    this.#handover = null;
    if (next === null) return false;
    this.#request?.abort();
    this.#request = next;
    this.#quoteFilter.onConnectionChanged(this.#clock.performance.now());
    if (!next.isOpen) this.#setState({ name: "connecting", tries: this.#failures });
    next.release();
    return true;
  }

  /** @param {import("./parser.js").Block} block */
  #onBlock({ type, data: text, id }) {
    if (this.#finalState !== null) return;
    this.#failures = 0;
    if (type === DRAINING) {
      this.#startHandover();
      return;
    }
    const reset = type === "stream:reset";
    if (id && !reset && !isNews(id, this.#position)) return;
    if (type !== "checkpoint") this.#deliverEvent(type, parseJsonOrText(text), id);
    if (reset) {
      // The position is invalid. A connection that is lost before the snapshot that follows must
      // begin with a snapshot again.
      this.#position = "";
    } else if (id !== null) {
      this.#advancePosition(id);
    }
  }

  /**
   * @param {string} type
   * @param {any} decoded
   * @param {string | null} id
   */
  #deliverEvent(type, decoded, id) {
    const now = this.#clock.performance.now();
    const data = id === null ? this.#quoteFilter.filter(type, decoded, now) : decoded;
    if (data === undefined) return;
    const event = { type, data, id };
    callSafely(this.#options.onEvent, event);
    if (event.type === "connected" && event.data?.keepaliveMs > 0) {
      this.#keepaliveMs = event.data.keepaliveMs;
    }
    const action = FINAL_EVENTS.get(event.type);
    if (action !== undefined) this.#finish(stateAfter(action));
  }

  /** @param {string} id */
  #advancePosition(id) {
    if (this.#finalState?.name !== "closed" && (id === "" || isNews(id, this.#position))) {
      this.#position = id;
    }
  }

  /** @param {Exclude<RequestOutcome, {kind: "final"}>} outcome */
  async #waitBeforeRetry(outcome) {
    const failed = outcome.kind === "failed";
    if (failed) this.#failures += 1;
    const retryInMs = delayBefore({
      kind: outcome.kind,
      failures: this.#failures,
      retryMs: this.#retryMs,
      retryAfterMs: failed ? outcome.retryAfterMs : null,
      random: (this.#options.random ?? Math.random)(),
    });
    const reason = failed ? outcome.reason : "the server ended the stream";
    this.#setState({ name: "reconnecting", retryInMs, tries: this.#failures, reason });
    if (this.#finalState !== null) return; // onState closed the stream
    await new Promise((resolve) => {
      const timer = this.#clock.setTimeout(() => this.#endWait(), retryInMs);
      this.#endWait = () => {
        this.#endWait = () => {};
        this.#clock.clearTimeout(timer);
        resolve(undefined);
      };
    });
  }

  /** @param {FinalState} state  ignored after the first call */
  #finish(state) {
    this.#finalState ??= state;
    this.#handover?.cancel();
    this.#request?.abort();
  }

  /** @param {State} state */
  #setState(state) {
    this.#state = state;
    callSafely(this.#options.onState, state);
  }
}
