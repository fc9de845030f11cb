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
 * `retry:` after a clean end, detects a silent connection, and always resumes by event id. It opens
 * the next connection before a stopping server closes this one, and polls while a proxy holds the
 * stream back. Start reading at `#run`, the loop.
 */

import { callSafely, parseJsonOrText } from "./callbacks.js";
import { FINAL_EVENTS, stateAfter } from "./closing.js";
import { UPDATED, changeUrl, urlOfContent } from "./content.js";
import { DEFAULT_RETRY_MS, delayBefore } from "./delay.js";
import { Handover } from "./handover.js";
import { Pause } from "./pause.js";
import { PollRequest } from "./poll-request.js";
import { isNews } from "./position.js";
import { PriceSilence } from "./price-silence.js";
import { QuoteOrderFilter } from "./quote-ordering.js";
import { call } from "./rest.js";
import { StreamRequest, requestPoll, requestStream } from "./stream-request.js";

export { BUFFERING_TIMEOUT_MS, SILENT_KEEPALIVES } from "./stream-request.js";
export { ApiError, Unreachable, call } from "./rest.js";

/** The keepalive interval of a server whose `connected` event has no `keepaliveMs`. */
export const KEEPALIVE_MS = 30_000;
/** The event by which a stopping server announces that it will close the connection. */
const DRAINING = "stream:draining";

/** @typedef {import("./types.js").StreamEvent} StreamEvent */
/** @typedef {import("./types.js").Options} Options */
/** @typedef {import("./response-outcome.js").State} State */
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
  #clientId = "";
  /** @type {FinalState | null} */
  #finalState = null;
  #quoteFilter = new QuoteOrderFilter();
  #priceSilence;
  /** @type {StreamRequest | PollRequest | null} the request whose events are delivered */
  #request = null;
  /** @type {Handover | null} opens the successor of `#request` */
  #handover = null;
  /** Before the next try. */
  #pause;
  #onOnline = () => this.retryNow();

  /**
   * @param {string} url
   * @param {Options} options
   */
  constructor(url, options) {
    this.#url = url;
    this.#options = options;
    this.#clock = options.clock ?? globalThis;
    this.#pause = new Pause(this.#clock);
    this.#priceSilence = new PriceSilence(this.#clock, () => this.#refreshLive());
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
    this.#pause.end();
  }

  /** End the wait before the next try. */
  retryNow() {
    this.#pause.end();
  }

  /** @param {string} id  advance to it: the caller has the events up to it from another source */
  skipTo(id) {
    this.#advancePosition(id);
  }

  /**
   * Change what the open stream shows, without reconnecting. The event `stream:updated` says where
   * the change takes effect; from then on the client reconnects with the new content.
   *
   * @param {{topics?: string[], symbols?: string[] | null, maxRate?: number}} change
   * @returns {Promise<{topics: string[], symbols: string[] | null, maxRate: number}>}
   * @throws {import("./rest.js").ApiError | import("./rest.js").Unreachable} 404: no stream is open,
   *   or the client polls; 422
   */
  update(change) {
    return call("PATCH", changeUrl(this.#url, this.#clientId), change, this.#options);
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

  /** @returns {Promise<RequestOutcome>} how a request ended, or the last of those that replaced it */
  async #runRequests() {
    this.#request = this.#openRequest(null);
    for (;;) {
      const request = this.#request;
      const outcome = await request.ended;
      if (this.#request !== request || this.#switchToNext()) continue;
      if (outcome.kind !== "buffered") return outcome;
      this.#request = this.#startPolling();
    }
  }

  /** @param {(() => void) | null} onReady  for a request that replaces `#request` */
  #openRequest(onReady) {
    return new StreamRequest({
      request: (signal) => requestStream(this.#url, this.#options, this.#position, signal),
      clock: this.#clock,
      keepaliveMs: () => this.#keepaliveMs,
      onBytes: () => this.#priceSilence.onBytes(),
      onBlock: ({ type, data, id }) => this.#onEvent({ type, data: parseJsonOrText(data), id }),
      onId: (id) => this.#advancePosition(id),
      onRetry: (milliseconds) => (this.#retryMs = milliseconds),
      onOpen: () => this.#state.name === "live" || this.#setState({ name: "live" }),
      onReady,
    });
  }

  /** Poll, and try to stream again from time to time. */
  #startPolling() {
    this.#startHandover(true);
    return new PollRequest({
      request: (waitSeconds, signal) =>
        requestPoll(this.#url, waitSeconds, this.#options, this.#position, signal),
      clock: this.#clock,
      onEvent: (event) => this.#onEvent(event),
      onId: (id) => this.#advancePosition(id),
      onOpen: () => this.#setState({ name: "live", isPolling: true }),
    });
  }

  /** @param {boolean} isPolling  `#request` polls; otherwise the server will close it soon */
  #startHandover(isPolling) {
    this.#handover ??= new Handover({
      open: () => this.#openRequest(() => this.#switchToNext()),
      clock: this.#clock,
      random: this.#options.random ?? Math.random,
      isPolling,
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
    else if (this.#state.name !== "live" || this.#state.isPolling) this.#setState({ name: "live" });
    next.release();
    return true;
  }

  /** @param {StreamEvent} event */
  #onEvent({ type, data, id }) {
    if (this.#finalState !== null) return;
    this.#failures = 0;
    this.#priceSilence.onEvent(type, data);
    if (type === DRAINING) {
      this.#startHandover(false);
      return;
    }
    const reset = type === "stream:reset";
    if (id && !reset && !isNews(id, this.#position)) return;
    if (type !== "checkpoint") this.#deliverEvent(type, data, id);
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
    if (type.toLowerCase() === "connected") {
      this.#clientId = data?.clientId ?? data?.client_id ?? "";
      if (data?.keepaliveMs > 0) this.#keepaliveMs = data.keepaliveMs;
    } else if (type === UPDATED) {
      this.#url = urlOfContent(this.#url, data);
    }
    callSafely(this.#options.onEvent, event);
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
    await this.#pause.wait(retryInMs);
  }

  /** @param {FinalState} state  ignored after the first call */
  #finish(state) {
    this.#finalState ??= state;
    this.#handover?.cancel();
    this.#request?.abort();
  }

  #refreshLive() {
    if (this.#state.name !== "live") return;
    const { isSilent: _, ...state } = this.#state;
    this.#setState(this.#priceSilence.isSilent ? { ...state, isSilent: true } : state);
  }

  /** @param {State} state */
  #setState(state) {
    if (state.name !== "live") this.#priceSilence.stop();
    this.#state = state;
    callSafely(this.#options.onState, state);
  }
}
