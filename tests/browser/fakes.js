/** A clock and a server that the connection tests control. */

import { connect } from "../../libs/client/packages/client/dist/tapewire.js";

/** A clock that stands still until `advance`. */
export class FakeClock {
  #now = 0;
  #next = 1;
  /** @type {Map<number, {at: number, run: () => void}>} */
  #timers = new Map();
  performance = { now: () => this.#now };

  /**
   * @param {() => void} run
   * @param {number} milliseconds
   */
  setTimeout(run, milliseconds) {
    const timer = this.#next++;
    this.#timers.set(timer, { at: this.#now + milliseconds, run });
    return timer;
  }

  /** @param {number} timer */
  clearTimeout(timer) {
    this.#timers.delete(timer);
  }

  get pending() {
    return this.#timers.size;
  }

  /**
   * Advance the time, timer by timer, and wait until the tasks that they started are idle.
   *
   * @param {number} milliseconds
   */
  async advance(milliseconds) {
    const until = this.#now + milliseconds;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= until);
      if (due.length === 0) break;
      due.sort((a, b) => a[1].at - b[1].at);
      const [timer, { at, run }] = due[0];
      this.#timers.delete(timer);
      this.#now = at;
      run();
      await atRest();
    }
    this.#now = until;
    await atRest();
  }
}

/** Wait until every promise that needs neither time nor bytes has settled. */
export async function atRest() {
  for (let turn = 0; turn < 8; turn += 1) {
    await nextTask();
  }
}

/** Browsers delay nested timers by some milliseconds, but not messages. */
function nextTask() {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve(undefined);
    };
    port2.postMessage(null);
  });
}

/** One answered request; the test writes the body of its response. */
class Exchange {
  /** @type {any} */
  #sink;
  #abort = () => {};

  /**
   * @param {string} url
   * @param {Record<string, string>} headers
   * @param {AbortSignal} signal
   */
  constructor(url, headers, signal) {
    this.url = url;
    this.headers = headers;
    /** Answer a hanging request with its stream. */
    this.accept = async () => {};
    this.aborted = false;
    this.body = new ReadableStream({
      start: (sink) => {
        this.#sink = sink;
      },
    });
    signal.addEventListener("abort", () => {
      this.aborted = true;
      this.#abort();
    });
    this.#abort = () => this.fail(new DOMException("aborted", "AbortError"));
  }

  /** @param {string} text */
  async send(text) {
    this.#sink.enqueue(new TextEncoder().encode(text));
    await atRest();
  }

  async end() {
    this.#abort = () => {};
    this.#sink.close();
    await atRest();
  }

  /** @param {unknown} error */
  async fail(error = new TypeError("network error")) {
    this.#abort = () => {};
    this.#sink.error(error);
    await atRest();
  }
}

/**
 * A connection to a scripted server. Each entry of `answers` serves one request: "stream" (written
 * through `exchanges`, after the comment `live`), "buffered" (a stream without any bytes), "down" (a
 * network error), "hang" (until `accept`), or a Response. The last one repeats.
 *
 * @param {("stream" | "buffered" | "down" | "hang" | (() => Response))[]} answers
 * @param {object} [options]
 * @param {(options: any) => any} [open]  by default a plain connection
 */
export async function connected(
  answers,
  options = {},
  open = (all) => connect("/api/stream/trading", all),
) {
  const clock = new FakeClock();
  /** @type {Exchange[]} */ const exchanges = [];
  /** @type {any[]} */ const events = [];
  /** @type {any[]} */ const states = [];
  let requests = 0;
  /** @type {any} */
  const fetch = (/** @type {string} */ url, /** @type {any} */ { headers, signal }) => {
    const answer = answers[Math.min(requests++, answers.length - 1)];
    if (answer === "down") return Promise.reject(new TypeError("Failed to fetch"));
    const exchange = new Exchange(url, headers, signal);
    exchanges.push(exchange);
    const streaming = { "Content-Type": "text/event-stream; charset=utf-8" };
    const accepted = () => {
      if (answer !== "buffered") void exchange.send(": live\n\n");
      return new Response(exchange.body, { headers: streaming });
    };
    if (answer === "hang") {
      return new Promise((resolve, reject) => {
        exchange.accept = () => (resolve(accepted()), atRest());
        signal.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
      });
    }
    if (answer !== "stream" && answer !== "buffered") return Promise.resolve(answer());
    return Promise.resolve(accepted());
  };
  const stream = open({
    onEvent: (event) => events.push(event),
    onState: (state) => states.push(state),
    random: () => 0.5,
    clock,
    fetch,
    ...options,
  });
  await atRest();
  return {
    stream,
    clock,
    exchanges,
    events,
    states,
    last: () => exchanges[exchanges.length - 1],
    names: () => states.map(({ name }) => name),
    requests: () => requests,
  };
}
