/**
 * One request for a stream, and its response, until either ends.
 *
 * Reconnecting and the meaning of events are in `tapewire.js`. A request that replaces another one
 * holds its events back until `release`, therefore the page sees one stream.
 */

import { FINAL_EVENTS } from "./closing.js";
import { withoutFragment } from "./content.js";
import { InactivityTimeout } from "./inactivity-timeout.js";
import { type Block, Parser } from "./parser.js";
import { type ContentType, outcomeOfResponse, type RequestOutcome } from "./response-outcome.js";
import { userHeader } from "./rest.js";
import type { Clock, RequestOptions } from "./types.js";

/** A connection that is silent for this many keepalive intervals counts as dead. */
export const SILENT_KEEPALIVES = 2.5;
/**
 * A stream sends everything that it begins with, and then the comment `live`, without a pause. When
 * it is silent for this time before that, something on the way holds it back.
 */
export const BUFFERING_TIMEOUT_MS = 2_500;
/** A request that holds back so many events counts as caught up. */
export const MAX_HELD_EVENTS = 10_000;
/** The comment that a stream sends when it has caught up. */
const LIVE_COMMENT = "live";
/** Events that the page must handle at once, and that another connection would not avoid. */
const TERMINAL_EVENTS = new Set(["stream:reset", ...FINAL_EVENTS.keys()]);

/** `url` with a further query parameter, "name=value". */
function withParameter(url: string, parameter: string): string {
  const path = withoutFragment(url);
  return `${path}${path.includes("?") ? "&" : "?"}${parameter}`;
}

/** Whether a parameter of a query is one of those by which a stream is asked to resume. */
const RESUME_PARAMETER = /^last(EventId|_event_id)=/;

/**
 * The URL of a stream after the id `position`, which the query says too: some proxies remove the
 * header `Last-Event-ID`.
 */
export function resumeUrl(url: string, position: string): string {
  const [path, query = ""] = withoutFragment(url).split(/\?(.*)/s);
  const others = query.split("&").filter((part) => part !== "" && !RESUME_PARAMETER.test(part));
  return `${path}?${[...others, `lastEventId=${encodeURIComponent(position)}`].join("&")}`;
}

/**
 * Request the stream at `url` after the id `position`, or from a snapshot for "". It sends the
 * comment `live` when it has caught up.
 */
export function requestStream(
  url: string,
  options: RequestOptions,
  token: Readonly<Record<string, string>>,
  position: string,
  signal: AbortSignal,
): Promise<Response> {
  return request(
    withParameter(url, "handover=1"),
    "text/event-stream",
    options,
    token,
    position,
    signal,
  );
}

/** Request what is new on the stream at `url`, as one document; wait for it for up to `waitSeconds`. */
export function requestPoll(
  url: string,
  waitSeconds: number,
  options: RequestOptions,
  token: Readonly<Record<string, string>>,
  position: string,
  signal: AbortSignal,
): Promise<Response> {
  const pollUrl = withParameter(url, `wait=${waitSeconds}`);
  return request(pollUrl, "application/json", options, token, position, signal);
}

function request(
  url: string,
  type: ContentType,
  options: RequestOptions,
  token: Readonly<Record<string, string>>,
  position: string,
  signal: AbortSignal,
): Promise<Response> {
  const headers: Record<string, string> = {
    Accept: type,
    ...userHeader(options.user),
    ...options.headers,
    ...token,
  };
  if (position !== "") headers["Last-Event-ID"] = position;
  const { fetch = globalThis.fetch, credentials = "same-origin" } = options;
  return fetch(position === "" ? url : resumeUrl(url, position), {
    headers,
    signal,
    credentials,
    cache: "no-store",
  });
}

export interface StreamRequestOptions {
  /** Calls `onSend` before it sends the request, for which it may have to wait for a token. */
  readonly request: (signal: AbortSignal, onSend: () => void) => Promise<Response>;
  readonly clock: Clock;
  readonly keepaliveMs: () => number;
  readonly onBlock: (block: Block) => void;
  /** Anything was received. */
  readonly onBytes: () => void;
  /** An event without data that changes the id. */
  readonly onId: (id: string) => void;
  readonly onRetry: (milliseconds: number) => void;
  /** The response is a stream. */
  readonly onOpen: () => void;
  /** Everything that the stream opens with has arrived. */
  readonly onCaughtUp: () => void;
  /** Hold events back until `release`; called when the stream has caught up. null: hold nothing back. */
  readonly onReady: (() => void) | null;
}

export class StreamRequest {
  readonly #options: StreamRequestOptions;
  readonly #abortController = new AbortController();
  /** Callbacks until `release`; null: call them at once. */
  #heldCallbacks: (() => void)[] | null;
  #hasConnectedEvent = false;
  #hasLiveComment = false;
  /** Whether the response is a stream. */
  isOpen = false;
  /** How the request ended; never rejected. */
  readonly ended: Promise<RequestOutcome>;

  constructor(options: StreamRequestOptions) {
    this.#options = options;
    this.#heldCallbacks = options.onReady === null ? null : [];
    this.ended = this.#run();
  }

  /** Abort the request; no callback is called after this. */
  abort(): void {
    this.#heldCallbacks = null;
    this.#abortController.abort();
  }

  /** Call the held callbacks, and from now on each callback at once. */
  release(): void {
    const held = this.#heldCallbacks ?? [];
    this.#heldCallbacks = null;
    for (const act of held) if (!this.#abortController.signal.aborted) act();
    if (this.#hasLiveComment && !this.#abortController.signal.aborted) this.#options.onCaughtUp();
  }

  async #run(): Promise<RequestOutcome> {
    const timeout = new InactivityTimeout(this.#options.clock, () => this.#abortController.abort());
    const onSend = (): void => timeout.extend(BUFFERING_TIMEOUT_MS);
    try {
      const response = await this.#options.request(this.#abortController.signal, onSend);
      const outcome = await outcomeOfResponse(response, "text/event-stream");
      if (outcome) return outcome;
      await this.#read(response.body as ReadableStream<Uint8Array>, timeout);
      return { kind: "ended" };
    } catch (error) {
      if (timeout.hasTimedOut && !this.#hasLiveComment) return { kind: "buffered" };
      const reason = timeout.hasTimedOut ? "the server went silent" : String(error);
      return { kind: "failed", reason, retryAfterMs: null };
    } finally {
      timeout.stop();
      this.#abortController.abort();
    }
  }

  async #read(body: ReadableStream<Uint8Array>, timeout: InactivityTimeout): Promise<void> {
    const { onBlock, onId, onRetry, onOpen, onCaughtUp, keepaliveMs } = this.#options;
    const parser = new Parser({
      onBlock: (block) => {
        this.#callOrHold(() => onBlock(block));
        this.#checkReady(block.type);
      },
      onId: (id) => this.#callOrHold(() => onId(id)),
      onRetry: (milliseconds) => this.#callOrHold(() => onRetry(milliseconds)),
      onComment: (text) => {
        if (text !== LIVE_COMMENT) return;
        this.#hasLiveComment = true;
        if (this.#heldCallbacks === null) onCaughtUp();
        if (this.#hasConnectedEvent) this.#notifyReady();
      },
    });
    const reader = body.getReader();
    this.isOpen = true;
    this.#callOrHold(onOpen);
    while (!this.#abortController.signal.aborted) {
      timeout.extend(
        this.#hasLiveComment ? keepaliveMs() * SILENT_KEEPALIVES : BUFFERING_TIMEOUT_MS,
      );
      const { done, value } = await reader.read();
      if (done) return;
      if (this.#heldCallbacks === null) this.#options.onBytes();
      parser.push(value);
    }
  }

  #callOrHold(act: () => void): void {
    if (this.#abortController.signal.aborted) return;
    if (this.#heldCallbacks === null) act();
    else if (this.#heldCallbacks.push(act) >= MAX_HELD_EVENTS) this.#notifyReady();
  }

  #checkReady(type: string): void {
    this.#hasConnectedEvent ||= type.toLowerCase() === "connected";
    if (TERMINAL_EVENTS.has(type)) this.#notifyReady();
  }

  #notifyReady(): void {
    // A released request is not waiting to become ready.
    if (this.#heldCallbacks !== null) this.#options.onReady?.();
  }
}
