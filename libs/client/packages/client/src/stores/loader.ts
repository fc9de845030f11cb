/** Loads the pages of a list, one request at a time, and tries the first one again when it fails. */

import type { ListStatus } from "../interfaces.js";
import { ApiError } from "../rest.js";
import { Value } from "./readable.js";

/** Pauses before the first page is asked for again after failures. */
export const RETRY_AFTER_MS = [1_000, 2_000, 5_000, 15_000, 30_000] as const;

export class ListLoader {
  readonly status = new Value<ListStatus>({ name: "loading" });
  readonly #retry: () => void;
  readonly #onIdle: () => void;
  #abort: AbortController | null = null;
  #running: Promise<void> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  /**
   * @param retry  asks for the first page again, a while after `retryAfter`
   * @param onIdle  called after each request that was not stopped, and that failed or not
   */
  constructor(retry: () => void, onIdle: () => void) {
    this.#retry = retry;
    this.#onIdle = onIdle;
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  /** Whether the first page will be asked for again by itself. */
  get isRetrying(): boolean {
    return this.#timer !== undefined;
  }

  /**
   * Run a request, or join the one that runs. `stop` aborts it, and so does `signal`.
   *
   * @param load  throws what the status shows
   */
  run(load: (signal: AbortSignal) => Promise<void>, signal?: AbortSignal): Promise<void> {
    if (this.#running !== null) return waitFor(this.#running, signal);
    this.#stopTimer();
    const abort = new AbortController();
    this.#abort = abort;
    const running = this.#run(load, abort).finally(() => {
      if (this.#running !== running) return;
      this.#running = null;
      this.#onIdle();
    });
    this.#running = running;
    return waitFor(running, signal);
  }

  /**
   * The first page could not be loaded: try again after a while, unless the server refuses the call.
   *
   * @returns whether it will be tried again
   */
  retryAfter(error: unknown): boolean {
    const pause = RETRY_AFTER_MS[Math.min(this.#failures, RETRY_AFTER_MS.length - 1)] as number;
    const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    this.#failures += 1;
    this.#stopTimer();
    if (error instanceof ApiError && !error.transient) return false;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#retry();
      },
      Math.max(pause, asked),
    );
    return true;
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Abort what runs and what would be tried again. The status is "loading" until the next answer. */
  stop(): void {
    this.#stopTimer();
    this.#abort?.abort();
    this.#abort = null;
    this.#running = null;
    this.#failures = 0;
    this.status.set({ name: "loading" });
  }

  async #run(load: (signal: AbortSignal) => Promise<void>, abort: AbortController): Promise<void> {
    try {
      await load(abort.signal);
      if (abort.signal.aborted) return;
      this.#failures = 0;
      this.status.set({ name: "ready" });
    } catch (cause) {
      if (abort.signal.aborted) return;
      const error = cause instanceof Error ? cause : new Error(String(cause));
      this.status.set({ name: "failed", error });
      throw error;
    }
  }
}

/** `work`, or the reason of `signal` when that comes first. The work goes on. */
async function waitFor(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return work;
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
