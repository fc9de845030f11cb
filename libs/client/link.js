/**
 * One connection: a request, and the stream that answers it, until either is over.
 *
 * Nothing here comes back or decides what an event means; that is `tapewire.js`. A link that
 * succeeds another one holds its blocks back until `release`: whoever reads sees one stream.
 */

import { FINAL_EVENTS } from "./closing.js";
import { Parser } from "./parser.js";
import { refusalIn } from "./refusal.js";
import { Watchdog } from "./watchdog.js";

/** Silence of this many keepalives means that the connection is dead. */
export const SILENT_KEEPALIVES = 2.5;
/** Answers come at once; a request without one after this long is given up. */
export const CONNECT_TIMEOUT_MS = 15_000;
/** A link that holds back so many blocks is established, whatever it says. */
export const MOST_HELD = 10_000;
/** What a stream says when it has sent all that there was. */
const LIVE = "live";
/** After these a client has something to do at once, and another connection would not spare it. */
const DECISIVE = new Set(["stream:reset", ...FINAL_EVENTS.keys()]);

/**
 * The address at which a stream also says when it has sent all that there was.
 *
 * @param {string} url
 */
export function takingOver(url) {
  const path = url.split("#", 1)[0];
  return `${path}${path.includes("?") ? "&" : "?"}handover=1`;
}

/**
 * Ask for the stream at `url` from `position` on; "": from a snapshot.
 *
 * @param {string} url
 * @param {Pick<import("./tapewire.js").Options, "headers" | "credentials" | "fetch">} options
 * @param {string} position
 * @param {AbortSignal} signal
 */
export function ask(url, options, position, signal) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "text/event-stream", ...options.headers };
  if (position !== "") headers["Last-Event-ID"] = position;
  const { fetch = globalThis.fetch, credentials = "same-origin" } = options;
  return fetch(url, { headers, signal, credentials, cache: "no-store" });
}

/** @typedef {import("./parser.js").Block} Block */
/** @typedef {import("./refusal.js").Outcome} Outcome */

/**
 * @typedef {object} Wiring
 * @property {(signal: AbortSignal) => Promise<Response>} request
 * @property {import("./watchdog.js").Clock} clock
 * @property {() => number} keepaliveMs
 * @property {(block: Block) => void} onBlock
 * @property {(id: string) => void} onId       a block without data that moved the id
 * @property {(milliseconds: number) => void} onRetry
 * @property {() => void} onOpen               the answer is a stream
 * @property {(() => void) | null} onReady     holds back until `release`, and is called when the
 *   stream has caught up
 */

export class Link {
  #wiring;
  #abort = new AbortController();
  /** @type {(() => void)[] | null} what waits for `release`; null: nothing has to */
  #held;
  #greeted = false;
  /** Whether the answer is a stream. */
  open = false;
  /** @type {Promise<Outcome>} how it ended; never rejected */
  over;

  /** @param {Wiring} wiring */
  constructor(wiring) {
    this.#wiring = wiring;
    this.#held = wiring.onReady === null ? null : [];
    this.over = this.#run();
  }

  /** Leave; nothing is handed on after this. */
  abort() {
    this.#held = null;
    this.#abort.abort();
  }

  /** Hand on what was held back, and from now on everything as it comes. */
  release() {
    const held = this.#held ?? [];
    this.#held = null;
    for (const act of held) if (!this.#abort.signal.aborted) act();
  }

  /** @returns {Promise<Outcome>} */
  async #run() {
    const watchdog = new Watchdog(this.#wiring.clock, () => this.#abort.abort());
    watchdog.allow(CONNECT_TIMEOUT_MS);
    try {
      const response = await this.#wiring.request(this.#abort.signal);
      const refusal = await refusalIn(response);
      if (refusal) return refusal;
      await this.#read(/** @type {ReadableStream} */ (response.body), watchdog);
      return { kind: "ended" };
    } catch (error) {
      const reason = watchdog.barked ? "the server went silent" : String(error);
      return { kind: "failed", reason, retryAfterMs: null };
    } finally {
      watchdog.stop();
      this.#abort.abort();
    }
  }

  /**
   * @param {ReadableStream<Uint8Array>} body
   * @param {Watchdog} watchdog
   */
  async #read(body, watchdog) {
    const { onBlock, onId, onRetry, onOpen, keepaliveMs } = this.#wiring;
    const parser = new Parser({
      onBlock: (block) => {
        this.#pass(() => onBlock(block));
        this.#look(block.type);
      },
      onId: (id) => this.#pass(() => onId(id)),
      onRetry: (milliseconds) => this.#pass(() => onRetry(milliseconds)),
      onComment: (text) => {
        if (text === LIVE && this.#greeted) this.#settle();
      },
    });
    const reader = body.getReader();
    this.open = true;
    this.#pass(onOpen);
    while (!this.#abort.signal.aborted) {
      watchdog.allow(keepaliveMs() * SILENT_KEEPALIVES);
      const { done, value } = await reader.read();
      if (done) return;
      parser.push(value);
    }
  }

  /** @param {() => void} act */
  #pass(act) {
    if (this.#abort.signal.aborted) return;
    if (this.#held === null) act();
    else if (this.#held.push(act) >= MOST_HELD) this.#settle();
  }

  /** @param {string} type */
  #look(type) {
    this.#greeted ||= type.toLowerCase() === "connected";
    if (DECISIVE.has(type)) this.#settle();
  }

  #settle() {
    // One that has taken over already says nothing about the change to the one after it.
    if (this.#held !== null) this.#wiring.onReady?.();
  }
}
