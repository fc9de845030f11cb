/**
 * A resumable stream of Tapewire events in the browser.
 *
 *     const stream = connect("/api/stream/trading", {
 *       onEvent: ({ type, data }) => …,
 *       onState: ({ name }) => …,
 *     });
 *
 * Why not EventSource: it gives up for good on any status but 200. This client stops on 401, waits
 * as told on 429 and 503, comes back with a growing delay after failures and with the server's
 * `retry:` after a clean end, notices a silent connection, and always resumes by id.
 * Start reading at `#run`, the loop; one pass of it is `#attempt`.
 */

import { DEFAULT_RETRY_MS, delayBefore } from "./delay.js";
import { Parser } from "./parser.js";
import { isNews } from "./position.js";
import { refusalIn } from "./refusal.js";
import { Watchdog } from "./watchdog.js";

export { ApiError, Unreachable, call } from "./rest.js";

/** How often an idle server sends something, unless its `connected` event has `keepaliveMs`. */
export const KEEPALIVE_MS = 30_000;
/** Silence of this many keepalives means that the connection is dead. */
export const SILENT_KEEPALIVES = 2.5;
/** Answers come at once; a request without one after this long is given up. */
export const CONNECT_TIMEOUT_MS = 15_000;

/**
 * @typedef {object} StreamEvent
 * @property {string} type      "order:update", "price:update", …
 * @property {any} data         decoded JSON; the text itself when it is not JSON
 * @property {string | null} id null on newest-wins events, which move no position
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
 * @property {(event: StreamEvent) => void} onEvent not awaited; what it throws is reported and
 *   the stream goes on
 * @property {((state: State) => void)=} onState
 * @property {string=} lastEventId  resume after this id instead of starting with a snapshot
 * @property {Record<string, string>=} headers  sent with every try, e.g. Authorization
 * @property {RequestCredentials=} credentials  "same-origin" by default
 * @property {number=} keepaliveMs
 * @property {typeof globalThis.fetch=} fetch
 * @property {import("./watchdog.js").Clock=} clock
 * @property {(() => number)=} random  in [0, 1)
 */

/** @typedef {import("./refusal.js").Final} Final */
/** @typedef {import("./refusal.js").Outcome} Outcome */

/**
 * Open a stream; it keeps itself open until `close` or a final state.
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
  /** @type {Final | null} */
  #final = null;
  #abort = new AbortController();
  /** Ends the wait before the next try; does nothing at other times. */
  #wake = () => {};
  #online = () => this.retryNow();

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
    globalThis.addEventListener?.("online", this.#online);
    // Not at once: the caller wants to hold the connection before it hears of its first state.
    queueMicrotask(() => this.#run());
  }

  /** The id to resume from: that of the last event delivered, or of a checkpoint. "": none. */
  get lastEventId() {
    return this.#position;
  }

  get state() {
    return this.#state;
  }

  /** Stop for good; no event is delivered after this. */
  close() {
    this.#finish({ name: "closed", reason: "closed by this page", error: null });
    this.#abort.abort();
    this.#wake();
  }

  /** Try again now instead of at the end of the wait. */
  retryNow() {
    this.#wake();
  }

  /**
   * Go on after `id`: what came up to there, the caller has from elsewhere.
   *
   * @param {string} id
   */
  skipTo(id) {
    this.#moveTo(id);
  }

  async #run() {
    while (this.#final === null) {
      this.#enter({ name: "connecting", tries: this.#failures });
      const outcome = await this.#attempt();
      if (outcome.kind === "final") this.#finish(outcome.state);
      else if (this.#final === null) await this.#pause(outcome);
    }
    globalThis.removeEventListener?.("online", this.#online);
    this.#enter(this.#final);
  }

  /** @returns {Promise<Outcome>} */
  async #attempt() {
    const abort = new AbortController();
    this.#abort = abort;
    const watchdog = new Watchdog(this.#clock, () => abort.abort());
    watchdog.allow(CONNECT_TIMEOUT_MS);
    try {
      const response = await this.#request(abort.signal);
      const refusal = await refusalIn(response);
      if (refusal) return refusal;
      return await this.#read(/** @type {ReadableStream} */ (response.body), watchdog);
    } catch (error) {
      const reason = watchdog.barked ? "the server went silent" : String(error);
      return { kind: "failed", reason, retryAfterMs: null };
    } finally {
      watchdog.stop();
      abort.abort();
    }
  }

  /** @param {AbortSignal} signal */
  #request(signal) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "text/event-stream", ...this.#options.headers };
    if (this.#position !== "") headers["Last-Event-ID"] = this.#position;
    const send = this.#options.fetch ?? globalThis.fetch;
    const credentials = this.#options.credentials ?? "same-origin";
    return send(this.#url, { headers, signal, credentials, cache: "no-store" });
  }

  /**
   * @param {ReadableStream<Uint8Array>} body
   * @param {Watchdog} watchdog
   * @returns {Promise<Outcome>}
   */
  async #read(body, watchdog) {
    const parser = new Parser({
      onBlock: (block) => this.#take(block),
      onId: (id) => this.#moveTo(id),
      onRetry: (milliseconds) => (this.#retryMs = milliseconds),
    });
    const reader = body.getReader();
    this.#enter({ name: "live" });
    while (this.#final === null) {
      watchdog.allow(this.#keepaliveMs * SILENT_KEEPALIVES);
      const { done, value } = await reader.read();
      if (done) return { kind: "ended" };
      parser.push(value);
    }
    return { kind: "final", state: this.#final };
  }

  /** @param {import("./parser.js").Block} block */
  #take({ type, data: text, id }) {
    if (this.#final !== null) return;
    this.#failures = 0;
    const reset = type === "stream:reset";
    if (id && !reset && !isNews(id, this.#position)) return;
    if (type !== "checkpoint") this.#deliver({ type, data: decoded(text), id });
    if (reset) {
      // The position was refused. Until the snapshot that follows is here, there is none: a
      // connection lost in between must begin with a snapshot again.
      this.#position = "";
    } else if (id !== null) {
      this.#moveTo(id);
    }
  }

  /** @param {StreamEvent} event */
  #deliver(event) {
    tell(this.#options.onEvent, event);
    if (event.type === "connected" && event.data?.keepaliveMs > 0) {
      this.#keepaliveMs = event.data.keepaliveMs;
    } else if (event.type === "auth:expired") {
      this.#finish({ name: "signed-out", reason: "the session has ended" });
    } else if (event.type === "connection:limit") {
      // Coming back would push out the next connection of this user, and that one this again.
      this.#finish({ name: "closed", reason: "too many connections", error: null });
    }
  }

  /** @param {string} id */
  #moveTo(id) {
    if (this.#final?.name !== "closed" && (id === "" || isNews(id, this.#position))) {
      this.#position = id;
    }
  }

  /** @param {Exclude<Outcome, {kind: "final"}>} outcome */
  async #pause(outcome) {
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
    this.#enter({ name: "reconnecting", retryInMs, tries: this.#failures, reason });
    if (this.#final !== null) return; // onState closed the stream
    await new Promise((resolve) => {
      const timer = this.#clock.setTimeout(() => this.#wake(), retryInMs);
      this.#wake = () => {
        this.#wake = () => {};
        this.#clock.clearTimeout(timer);
        resolve(undefined);
      };
    });
  }

  /** @param {Final} state  the first one stands */
  #finish(state) {
    this.#final ??= state;
  }

  /** @param {State} state */
  #enter(state) {
    this.#state = state;
    tell(this.#options.onState, state);
  }
}

/**
 * Run a listener of the page; what it throws goes to the console, not into the stream.
 *
 * @template T
 * @param {((what: T) => void) | undefined} listener
 * @param {T} what
 */
function tell(listener, what) {
  try {
    listener?.(what);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** @param {string} text */
function decoded(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
