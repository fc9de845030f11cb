/** A clock and a server that the tests of connections control. */

import { type Connection, connect } from "../src/tapewire.js";

/** Decoded JSON, whose members the tests know. */
// biome-ignore lint/suspicious/noExplicitAny: a wrong member fails the test
export type Json = any;

interface RecordedEvent {
  readonly type: string;
  readonly data: Json;
  readonly id: string | null;
}

/** How the scripted server serves one request. */
export type Answer = "stream" | "buffered" | "down" | "hang" | (() => Response);

/** A clock that stands still until `advance`. */
export class FakeClock {
  #now = 0;
  #next = 1;
  readonly #timers = new Map<unknown, { at: number; run: () => void }>();
  readonly performance = { now: (): number => this.#now };

  setTimeout(run: () => void, milliseconds: number): number {
    const timer = this.#next++;
    this.#timers.set(timer, { at: this.#now + milliseconds, run });
    return timer;
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer);
  }

  get pending(): number {
    return this.#timers.size;
  }

  /** Advance the time, timer by timer, and wait until the tasks that they started are idle. */
  async advance(milliseconds: number): Promise<void> {
    const until = this.#now + milliseconds;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= until);
      due.sort((a, b) => a[1].at - b[1].at);
      const first = due[0];
      if (first === undefined) break;
      const [timer, { at, run }] = first;
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
export async function atRest(): Promise<void> {
  for (let turn = 0; turn < 8; turn += 1) {
    await nextTask();
  }
}

/** Browsers delay nested timers by some milliseconds, but not messages. */
function nextTask(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** One answered request; the test writes the body of its response. */
export class Exchange {
  readonly url: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: ReadableStream<Uint8Array>;
  /** Answer a hanging request with its stream. */
  accept: () => Promise<void> = async () => {};
  aborted = false;
  #sink!: ReadableStreamDefaultController<Uint8Array>;
  #abort: () => void = () => {};

  constructor(url: string, headers: Record<string, string>, signal: AbortSignal) {
    this.url = url;
    this.headers = headers;
    this.body = new ReadableStream({
      start: (sink) => {
        this.#sink = sink;
      },
    });
    signal.addEventListener("abort", () => {
      this.aborted = true;
      this.#abort();
    });
    this.#abort = () => void this.fail(new DOMException("aborted", "AbortError"));
  }

  async send(text: string): Promise<void> {
    this.#sink.enqueue(new TextEncoder().encode(text));
    await atRest();
  }

  async end(): Promise<void> {
    this.#abort = () => {};
    this.#sink.close();
    await atRest();
  }

  async fail(error: unknown = new TypeError("network error")): Promise<void> {
    this.#abort = () => {};
    this.#sink.error(error);
    await atRest();
  }
}

/** What a test sees of a connection to the scripted server. */
export interface Connected<S> {
  readonly stream: S;
  readonly clock: FakeClock;
  /** The requests that were answered. */
  readonly exchanges: Exchange[];
  readonly events: RecordedEvent[];
  readonly states: Json[];
  readonly last: () => Exchange;
  readonly names: () => string[];
  /** The number of requests, those without an answer included. */
  readonly requests: () => number;
}

interface OpenOptions {
  readonly onEvent: (event: RecordedEvent) => void;
  readonly onState: (state: object) => void;
  readonly random: () => number;
  readonly clock: FakeClock;
  readonly fetch: typeof globalThis.fetch;
}

const openTrading = (options: OpenOptions): Connection => connect("/api/stream/trading", options);

/**
 * A connection to a scripted server. Each entry of `answers` serves one request: "stream" (written
 * through `exchanges`, after the comment `live`), "buffered" (a stream without any bytes), "down" (a
 * network error), "hang" (until `accept`), or a Response. The last one repeats.
 */
export async function connected(
  answers: readonly Answer[],
  options?: object,
): Promise<Connected<Connection>>;
export async function connected<S>(
  answers: readonly Answer[],
  options: object,
  open: (options: OpenOptions) => S,
): Promise<Connected<S>>;
export async function connected(
  answers: readonly Answer[],
  options: object = {},
  open: (options: OpenOptions) => unknown = openTrading,
): Promise<Connected<unknown>> {
  const clock = new FakeClock();
  const exchanges: Exchange[] = [];
  const events: RecordedEvent[] = [];
  const states: Json[] = [];
  let requests = 0;
  const fetch = (
    url: string,
    { headers, signal }: { headers: Record<string, string>; signal: AbortSignal },
  ) => {
    const answer = answers[Math.min(requests++, answers.length - 1)];
    if (answer === "down") return Promise.reject(new TypeError("Failed to fetch"));
    const exchange = new Exchange(url, headers, signal);
    exchanges.push(exchange);
    const streaming = { "Content-Type": "text/event-stream; charset=utf-8" };
    const accepted = (): Response => {
      if (answer !== "buffered") void exchange.send(": live\n\n");
      return new Response(exchange.body as BodyInit, { headers: streaming });
    };
    if (answer === "hang") {
      return new Promise<Response>((resolve, reject) => {
        exchange.accept = () => {
          resolve(accepted());
          return atRest();
        };
        signal.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
      });
    }
    if (typeof answer === "function") return Promise.resolve(answer());
    return Promise.resolve(accepted());
  };
  const stream = open({
    onEvent: (event: RecordedEvent) => void events.push(event),
    onState: (state: object) => void states.push(state),
    random: () => 0.5,
    clock,
    fetch: fetch as typeof globalThis.fetch,
    ...options,
  });
  await atRest();
  return {
    stream,
    clock,
    exchanges,
    events,
    states,
    last: () => exchanges.at(-1) as Exchange,
    names: () => states.map(({ name }) => name),
    requests: () => requests,
  };
}

/** A call's transport: it answers every request and records what was sent. */
export function answering(
  answer: (url: string, request: RequestInit) => Response | Promise<Response>,
): {
  fetch: typeof globalThis.fetch;
  sent: { url: string; headers: Record<string, string>; request: RequestInit }[];
} {
  const sent: { url: string; headers: Record<string, string>; request: RequestInit }[] = [];
  const fetch = async (url: string, request: RequestInit): Promise<Response> => {
    sent.push({ url, headers: request.headers as Record<string, string>, request });
    return answer(url, request);
  };
  return { fetch: fetch as typeof globalThis.fetch, sent };
}
