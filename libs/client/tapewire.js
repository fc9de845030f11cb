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
 * `retry:` after a clean end, notices a silent connection, and always resumes by id. When a server
 * says that it will close the connection, the next one is opened before this one is left.
 * Start reading at `#run`, the loop; one pass of it is `#attempt`.
 */

import { FINAL_EVENTS, stateAfter } from "./closing.js";
import { DEFAULT_RETRY_MS, delayBefore } from "./delay.js";
import { Handover } from "./handover.js";
import { Link, ask, takingOver } from "./link.js";
import { decoded, tell } from "./listener.js";
import { isNews } from "./position.js";
import { Quotes } from "./quotes.js";

export { CONNECT_TIMEOUT_MS, SILENT_KEEPALIVES } from "./link.js";
export { ApiError, Unreachable, call } from "./rest.js";

/** How often an idle server sends something, unless its `connected` event has `keepaliveMs`. */
export const KEEPALIVE_MS = 30_000;
/** By this a server that stops says that it will close the connection. */
const DRAINING = "stream:draining";

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
  #quotes = new Quotes();
  /** @type {Link | null} whose events are delivered */
  #link = null;
  /** @type {Handover | null} from `#link` to the next one */
  #handover = null;
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

  /**
   * One connection, and those that take over from it.
   *
   * @returns {Promise<Outcome>} how the last of them ended
   */
  async #attempt() {
    this.#link = this.#open(null);
    for (;;) {
      const link = this.#link;
      const outcome = await link.over;
      if (this.#link === link && !this.#goOver()) return outcome;
    }
  }

  /** @param {(() => void) | null} onReady  for a link that is to take over from `#link` */
  #open(onReady) {
    const url = onReady === null ? this.#url : takingOver(this.#url);
    return new Link({
      request: (signal) => ask(url, this.#options, this.#position, signal),
      clock: this.#clock,
      keepaliveMs: () => this.#keepaliveMs,
      onBlock: (block) => this.#take(block),
      onId: (id) => this.#moveTo(id),
      onRetry: (milliseconds) => (this.#retryMs = milliseconds),
      onOpen: () => {
        if (this.#state.name !== "live") this.#enter({ name: "live" });
      },
      onReady,
    });
  }

  /** The server closes `#link` soon: have the next one by then. */
  #prepare() {
    this.#handover ??= new Handover({
      open: () => this.#open(() => this.#goOver()),
      clock: this.#clock,
      random: this.#options.random ?? Math.random,
    });
  }

  /**
   * Leave `#link` for the next one, be that still on its way. Both have sent everything after the
   * same place, so what of the next one is no news was delivered already.
   *
   * @returns {boolean} false: there is none
   */
  #goOver() {
    const next = this.#handover?.take() ?? null;
    this.#handover = null;
    if (next === null) return false;
    this.#link?.abort();
    this.#link = next;
    this.#quotes.turn(this.#clock.performance.now());
    if (!next.open) this.#enter({ name: "connecting", tries: this.#failures });
    next.release();
    return true;
  }

  /** @param {import("./parser.js").Block} block */
  #take({ type, data: text, id }) {
    if (this.#final !== null) return;
    this.#failures = 0;
    if (type === DRAINING) {
      this.#prepare();
      return;
    }
    const reset = type === "stream:reset";
    if (id && !reset && !isNews(id, this.#position)) return;
    if (type !== "checkpoint") this.#deliver(type, decoded(text), id);
    if (reset) {
      // The position was refused. Until the snapshot that follows is here, there is none: a
      // connection lost in between must begin with a snapshot again.
      this.#position = "";
    } else if (id !== null) {
      this.#moveTo(id);
    }
  }

  /**
   * @param {string} type
   * @param {any} read
   * @param {string | null} id
   */
  #deliver(type, read, id) {
    const data = id === null ? this.#quotes.pass(type, read, this.#clock.performance.now()) : read;
    if (data === undefined) return;
    const event = { type, data, id };
    tell(this.#options.onEvent, event);
    if (event.type === "connected" && event.data?.keepaliveMs > 0) {
      this.#keepaliveMs = event.data.keepaliveMs;
    }
    const action = FINAL_EVENTS.get(event.type);
    if (action !== undefined) this.#finish(stateAfter(action));
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
    this.#handover?.stop();
    this.#link?.abort();
  }

  /** @param {State} state */
  #enter(state) {
    this.#state = state;
    tell(this.#options.onState, state);
  }
}
