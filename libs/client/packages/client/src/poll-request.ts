/**
 * Long-polling of one stream, from one request to the next, until one fails.
 *
 * It takes the place of a `StreamRequest` when something on the way holds streams back. The answers
 * have the ids and events of the stream.
 */

import { MAX_RETRY_MS } from "./delay.js";
import { InactivityTimeout } from "./inactivity-timeout.js";
import { Pause } from "./pause.js";
import { outcomeOfResponse, type RequestOutcome } from "./response-outcome.js";
import type { Clock, StreamEvent } from "./types.js";

const RESET = "stream:reset";
/** How long a request waits for an event. Some proxies end requests after ten seconds. */
export const POLL_WAIT_SECONDS = 8;
/** A request is aborted when its answer is so late. */
export const POLL_TIMEOUT_MS = 7_000;

export interface PollRequestOptions {
  /** Calls `onSend` before it sends the request, for which it may have to wait for a token. */
  readonly request: (
    waitSeconds: number,
    signal: AbortSignal,
    onSend: () => void,
  ) => Promise<Response>;
  readonly clock: Clock;
  readonly onEvent: (event: StreamEvent) => void;
  /** All events up to this id were delivered. */
  readonly onId: (id: string) => void;
  /** The first answer has arrived. */
  readonly onOpen: () => void;
  /** Everything that the stream opens with was delivered. */
  readonly onCaughtUp: () => void;
}

/** The body of an answer. */
interface PollAnswer {
  readonly events: readonly {
    readonly id: string | null;
    readonly event: string;
    readonly data: unknown;
  }[];
  readonly lastEventId: string | null;
  readonly retry?: unknown;
}

export class PollRequest {
  readonly #options: PollRequestOptions;
  readonly #abortController = new AbortController();
  readonly #pause: Pause;
  #isCaughtUp = false;
  /** Whether an answer has arrived. */
  isOpen = false;
  /** How polling ended; never rejected. */
  readonly ended: Promise<RequestOutcome>;

  constructor(options: PollRequestOptions) {
    this.#options = options;
    this.#pause = new Pause(options.clock);
    this.ended = this.#run();
  }

  /** Stop; no callback is called after this. */
  abort(): void {
    this.#abortController.abort();
    this.#pause.end();
  }

  async #run(): Promise<RequestOutcome> {
    // The first answer tells at once whether the server can be reached.
    for (let waitSeconds = 0; ; waitSeconds = POLL_WAIT_SECONDS) {
      const { outcome, retryMs } = await this.#poll(waitSeconds);
      if (outcome) return outcome;
      await this.#pause.wait(retryMs);
    }
  }

  /** One request, and the delivery of its answer. */
  async #poll(waitSeconds: number): Promise<{ outcome: RequestOutcome | null; retryMs: number }> {
    const { clock, request } = this.#options;
    const { signal } = this.#abortController;
    const timeout = new InactivityTimeout(clock, () => this.abort());
    const onSend = (): void => timeout.extend(waitSeconds * 1000 + POLL_TIMEOUT_MS);
    try {
      signal.throwIfAborted();
      const response = await request(waitSeconds, signal, onSend);
      const outcome = await outcomeOfResponse(response, "application/json");
      if (outcome) return { outcome, retryMs: 0 };
      const { events, lastEventId, retry } = (await response.json()) as PollAnswer;
      this.#deliver(events, lastEventId);
      return { outcome: null, retryMs: Math.min(Math.max(Number(retry) || 0, 0), MAX_RETRY_MS) };
    } catch (error) {
      const reason = timeout.hasTimedOut ? "the server went silent" : String(error);
      return { outcome: { kind: "failed", reason, retryAfterMs: null }, retryMs: 0 };
    } finally {
      timeout.stop();
    }
  }

  #deliver(events: PollAnswer["events"], lastEventId: string | null): void {
    const { signal } = this.#abortController;
    const { onEvent, onId, onOpen, onCaughtUp } = this.#options;
    const isFirst = !this.isOpen;
    this.isOpen = true;
    if (isFirst && !signal.aborted) onOpen();
    for (const { event: type, data, id } of events) {
      if (!signal.aborted) onEvent({ type, data, id });
    }
    if (lastEventId !== null && !signal.aborted) onId(lastEventId);
    // A reset without the snapshot that follows it: that comes with the next answer.
    const isComplete = lastEventId !== null || !events.some(({ event }) => event === RESET);
    if (this.#isCaughtUp || !isComplete || signal.aborted) return;
    this.#isCaughtUp = true;
    onCaughtUp();
  }
}
