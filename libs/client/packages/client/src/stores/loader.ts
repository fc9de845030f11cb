/** Loads the pages of a list, one request at a time, and tries the first one again when it fails. */

import type { ListStatus } from "../interfaces.js";
import { ApiError } from "../rest.js";
import { Value } from "./readable.js";

/** Pauses before the first page is asked for again after failures. */
export const RETRY_AFTER_MS = [1_000, 2_000, 5_000, 15_000, 30_000] as const;

export class ListLoader {
  readonly status = new Value<ListStatus>({ name: "loading" });
  readonly #retry: () => void;
  #abort: AbortController | null = null;
  #running: Promise<void> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  /** @param retry  asks for the first page again, after `fail` */
  constructor(retry: () => void) {
    this.#retry = retry;
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  /**
   * Run a request, or join the one that runs. `stop` aborts it, and so does `signal`.
   *
   * @param load  throws what the status shows
   */
  run(load: (signal: AbortSignal) => Promise<void>, signal?: AbortSignal): Promise<void> {
    if (this.#running !== null) return waitFor(this.#running, signal);
    clearTimeout(this.#timer);
    const abort = new AbortController();
    this.#abort = abort;
    const running = this.#run(load, abort).finally(() => {
      if (this.#running === running) this.#running = null;
    });
    this.#running = running;
    return waitFor(running, signal);
  }

  /** The error of a first page: it is tried again by itself, unless the server refuses the call. */
  fail(error: Error): void {
    const isFinal = error instanceof ApiError && !error.transient;
    const pause = RETRY_AFTER_MS[Math.min(this.#failures, RETRY_AFTER_MS.length - 1)] as number;
    this.#failures += 1;
    clearTimeout(this.#timer);
    if (isFinal) return;
    const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    this.#timer = setTimeout(this.#retry, Math.max(pause, asked));
  }

  /** Abort what runs and what would be tried again. The status is "loading" until the next answer. */
  stop(): void {
    clearTimeout(this.#timer);
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
