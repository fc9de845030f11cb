/**
 * A resumable stream of Tapewire events in the browser.
 *
 *     const stream = connect("/api/stream/trading", {
 *       onEvent: ({ type, data }) => …,
 *       onState: ({ name }) => …,
 *     });
 *
 * EventSource gives up for good on every status but 200. This client stops on 401, honours
 * `Retry-After`, reconnects with growing delays after failures and with the server's `retry:` after a
 * clean end, detects a silent connection, and always resumes by event id. It opens the next connection
 * before this one is closed or its token expires, and polls where streams are held back: see `#run`.
 */

import { callSafely, memberOf, parseJsonOrText } from "./callbacks.js";
import { FINAL_EVENTS, REPLAY_COMPLETE, stateAfterEvent } from "./closing.js";
import { changeUrl, UPDATED, type UpdatedContent, urlOfContent } from "./content.js";
import { Handover } from "./handover.js";
import { PollRequest } from "./poll-request.js";
import { isNews } from "./position.js";
import { PriceSilence } from "./price-silence.js";
import { QuoteOrderFilter } from "./quote-ordering.js";
import type { UnbufferedOutcome } from "./response-outcome.js";
import { call } from "./rest.js";
import { type RetriedOutcome, RetryWait } from "./retry-wait.js";
import { requestPoll, requestStream, StreamRequest } from "./stream-request.js";
import { bearerTokenOf } from "./token.js";
import { TokenRenewal } from "./token-renewal.js";
import type {
  Clock,
  ConnectOptions,
  FinalState,
  State,
  StreamContent,
  StreamEvent,
} from "./types.js";

export { ApiError, type CallSettings, call, type Method, Unreachable } from "./rest.js";
export { BUFFERING_TIMEOUT_MS, SILENT_KEEPALIVES } from "./stream-request.js";
export { type Token, TokenUnavailable } from "./token.js";
export type { ConnectOptions, FinalState, State, StreamContent, StreamEvent } from "./types.js";

/** The keepalive interval until the `connected` event says another one. */
export const KEEPALIVE_MS = 30_000;
/** The event by which a stopping server announces that it will close the connection. */
const DRAINING = "stream:draining";

/** Open a stream. It reconnects until `close` or a final state. */
export function connect(url: string, options: ConnectOptions): Connection {
  return new Connection(url, options);
}

export class Connection {
  #url: string;
  readonly #options: ConnectOptions;
  readonly #clock: Clock;
  #position: string;
  #state: State = { name: "connecting", tries: 0 };
  #keepaliveMs: number;
  #clientId = "";
  #finalState: FinalState | null = null;
  readonly #quoteFilter = new QuoteOrderFilter();
  readonly #priceSilence: PriceSilence;
  /** The request whose events are delivered. */
  #request: StreamRequest | PollRequest | null = null;
  /** Opens the successor of `#request`. */
  #handover: Handover | null = null;
  readonly #retry: RetryWait;
  readonly #renewal: TokenRenewal;
  /** Whether the next connection has another token, for which it counts beside the current one. */
  #isRenewing = false;
  readonly #onOnline = (): void => this.retryNow();
  readonly #onAbort = (): void => this.close();

  constructor(url: string, options: ConnectOptions) {
    this.#url = url;
    this.#options = options;
    this.#clock = options.clock ?? globalThis;
    this.#retry = new RetryWait(this.#clock, options.random ?? Math.random);
    this.#priceSilence = new PriceSilence(this.#clock, () => this.#refreshLive());
    this.#renewal = new TokenRenewal(bearerTokenOf(options.token), this.#clock, () =>
      this.#onTokenRenewed(),
    );
    this.#position = options.lastEventId ?? "";
    this.#keepaliveMs = options.keepaliveMs ?? KEEPALIVE_MS;
    globalThis.addEventListener?.("online", this.#onOnline);
    options.signal?.addEventListener("abort", this.#onAbort);
    if (options.signal?.aborted) this.close();
    // Deferred: the caller must have the connection before the first callback.
    queueMicrotask(() => void this.#run());
  }

  /** The id to resume from: of the last delivered event or checkpoint, or "". */
  get lastEventId(): string {
    return this.#position;
  }

  get state(): State {
    return this.#state;
  }

  /** Close for good; no event is delivered after this. */
  close(): void {
    this.#finish({ name: "closed", reason: "closed by this page", error: null });
    this.#retry.end();
  }

  /** End the wait before the next try. */
  retryNow(): void {
    this.#retry.end();
  }

  /** @param id  advance to it: the caller has the events up to it from another source */
  skipTo(id: string): void {
    this.#advancePosition(id);
  }

  /**
   * Change what the open stream shows, without reconnecting. The event `stream:updated` says where
   * the change takes effect; from then on the client reconnects with the new content.
   *
   * @throws {ApiError | Unreachable} 404: no stream is open, or the client polls; 422
   */
  update(change: Partial<StreamContent>): Promise<StreamContent> {
    return call("PATCH", changeUrl(this.#url, this.#clientId), change, this.#options);
  }

  async #run(): Promise<void> {
    while (this.#finalState === null) {
      this.#setState({ name: "connecting", tries: this.#retry.failures });
      const outcome = await this.#runRequests();
      if (outcome.kind === "final") this.#finish(outcome.state);
      else if (this.#finalState === null) await this.#waitBeforeRetry(outcome);
    }
    globalThis.removeEventListener?.("online", this.#onOnline);
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#setState(this.#finalState);
  }

  /** How a request ended, or the last of those that replaced it. */
  async #runRequests(): Promise<UnbufferedOutcome> {
    const polls = this.#options.polls && this.#position === "";
    this.#request = polls ? this.#startPolling() : this.#openRequest(null);
    for (;;) {
      const request: StreamRequest | PollRequest = this.#request;
      const outcome = await request.ended;
      if (this.#request !== request || this.#switchToNext()) continue;
      if (outcome.kind !== "buffered") return outcome;
      this.#request = this.#startPolling();
    }
  }

  /** @param onReady  for a request that replaces `#request` */
  #openRequest(onReady: (() => void) | null): StreamRequest {
    return new StreamRequest({
      request: (signal, onSend) =>
        this.#renewal.send(signal, onSend, (token) =>
          requestStream(this.#url, this.#options, token, this.#position, signal),
        ),
      clock: this.#clock,
      keepaliveMs: () => this.#keepaliveMs,
      onBytes: () => this.#priceSilence.onBytes(),
      onBlock: ({ type, data, id }) => this.#onEvent({ type, data: parseJsonOrText(data), id }),
      onId: (id) => this.#advancePosition(id),
      onRetry: (milliseconds) => this.#retry.setBase(milliseconds),
      onOpen: () => this.#state.name === "live" || this.#setState({ name: "live" }),
      onCaughtUp: () => this.#onCaughtUp(),
      onReady,
    });
  }

  /** Poll, and try to stream again from time to time. */
  #startPolling(): PollRequest {
    this.#startHandover(true);
    return new PollRequest({
      request: (waitSeconds, signal, onSend) =>
        this.#renewal.send(signal, onSend, (token) =>
          requestPoll(this.#url, waitSeconds, this.#options, token, this.#position, signal),
        ),
      clock: this.#clock,
      onEvent: (event) => this.#onEvent(event),
      onId: (id) => this.#advancePosition(id),
      onOpen: () => this.#setState({ name: "live", isPolling: true }),
      onCaughtUp: () => this.#onCaughtUp(),
    });
  }

  /** @param isPolling  `#request` polls; otherwise it will not last */
  #startHandover(isPolling: boolean): void {
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
   * @returns false: there is no successor
   */
  #switchToNext(): boolean {
    const next = this.#handover?.takeNext() ?? null;
    this.#handover = null;
    this.#isRenewing = false;
    if (next === null) return false;
    this.#request?.abort();
    this.#request = next;
    this.#quoteFilter.onConnectionChanged(this.#clock.performance.now());
    if (!next.isOpen) this.#setState({ name: "connecting", tries: this.#retry.failures });
    else if (this.#state.name !== "live" || this.#state.isPolling) this.#setState({ name: "live" });
    next.release();
    return true;
  }

  #onEvent({ type, data, id }: StreamEvent): void {
    if (this.#finalState !== null) return;
    this.#retry.onSuccess();
    this.#priceSilence.onEvent(type, data);
    if (type === DRAINING || (FINAL_EVENTS.get(type) === "sign-in" && this.#renewal.onExpired())) {
      this.#startHandover(false);
      return;
    }
    // The server has closed the oldest connection of the user: this one, for its own successor.
    if (type === "connection:limit" && this.#isRenewing) return;
    const reset = type === "stream:reset";
    // The end of a replay has the id of its last event.
    const mayRepeat = reset || type === REPLAY_COMPLETE;
    if (id && !mayRepeat && !isNews(id, this.#position)) return;
    if (type !== "checkpoint") this.#deliverEvent(type, data, id);
    if (reset) {
      // The position is invalid. A connection that is lost before the snapshot that follows must
      // begin with a snapshot again.
      this.#position = "";
    } else if (id !== null) {
      this.#advancePosition(id);
    }
  }

  #deliverEvent(type: string, decoded: unknown, id: string | null): void {
    const now = this.#clock.performance.now();
    const data = id === null ? this.#quoteFilter.filter(type, decoded, now) : decoded;
    if (data === undefined) return;
    const event = { type, data, id };
    if (type.toLowerCase() === "connected") {
      this.#clientId = String(memberOf(data, "clientId") ?? memberOf(data, "client_id") ?? "");
      const keepaliveMs = Number(memberOf(data, "keepaliveMs"));
      if (keepaliveMs > 0) this.#keepaliveMs = keepaliveMs;
    } else if (type === UPDATED) {
      this.#url = urlOfContent(this.#url, data as UpdatedContent);
    }
    callSafely(this.#options.onEvent, event);
    const final = stateAfterEvent(type);
    if (final !== null) this.#finish(final);
  }

  #onCaughtUp(): void {
    if (this.#finalState === null) callSafely(this.#options.onCaughtUp, undefined);
  }

  #advancePosition(id: string): void {
    if (this.#finalState?.name !== "closed" && (id === "" || isNews(id, this.#position))) {
      this.#position = id;
    }
  }

  async #waitBeforeRetry(outcome: RetriedOutcome): Promise<void> {
    this.#setState({ name: "reconnecting", ...this.#retry.afterOutcome(outcome) });
    if (this.#finalState !== null) return; // onState closed the stream
    await this.#retry.wait();
  }

  /** @param state  ignored after the first call */
  #finish(state: FinalState): void {
    this.#finalState ??= state;
    this.#renewal.stop();
    this.#handover?.cancel();
    this.#request?.abort();
  }

  #onTokenRenewed(): void {
    if (this.#state.name !== "live" || this.#state.isPolling) return;
    this.#isRenewing = true;
    this.#startHandover(false);
  }

  #refreshLive(): void {
    if (this.#state.name !== "live") return;
    const { isSilent: _, ...state } = this.#state;
    this.#setState(this.#priceSilence.isSilent ? { ...state, isSilent: true } : state);
  }

  #setState(state: State): void {
    if (state.name !== "live") this.#priceSilence.stop();
    this.#state = state;
    callSafely(this.#options.onState, state);
  }
}
