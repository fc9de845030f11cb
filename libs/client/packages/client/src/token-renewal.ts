/**
 * Keeps a connection's token valid: asks for another one before it expires, and tells the connection
 * to open its next request with it.
 */

import { NamedTimers } from "./timers.js";
import { type BearerToken, sendWithToken, tokenHeader } from "./token.js";
import type { Clock } from "./types.js";

/** The wait before the application is asked again when it had no token. */
export const ASK_AGAIN_MS = 5_000;
/** Timers take no longer delays. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class TokenRenewal {
  readonly #token: BearerToken | null;
  readonly #timers: NamedTimers;
  readonly #onRenewed: () => void;
  /** The token of the last request. */
  #usedToken = "";
  #isStopped = false;

  /**
   * @param token  null: requests have none
   * @param onRenewed  there is another token than that of the last request
   */
  constructor(token: BearerToken | null, clock: Clock, onRenewed: () => void) {
    this.#token = token;
    this.#timers = new NamedTimers(clock);
    this.#onRenewed = onRenewed;
  }

  /**
   * Send a request with the token; without one, at once.
   *
   * @param onSend  called before each `send`
   * @param send  given the headers of the token
   * @throws {TokenUnavailable} and the signal's reason, and what `send` throws
   */
  async send(
    signal: AbortSignal,
    onSend: () => void,
    send: (headers: Readonly<Record<string, string>>) => Promise<Response>,
  ): Promise<Response> {
    const sendWith = (token: string | null): Promise<Response> => {
      this.#usedToken = token ?? "";
      onSend();
      return send(token === null ? {} : tokenHeader(token));
    };
    if (this.#token === null) return sendWith(null);
    const response = await sendWithToken(this.#token, signal, sendWith);
    this.#schedule();
    return response;
  }

  /**
   * The server ended what the last request opened.
   *
   * @returns whether the next request has another token
   */
  onExpired(): boolean {
    return this.#token?.refuse(this.#usedToken) ?? false;
  }

  stop(): void {
    this.#isStopped = true;
    this.#timers.cancel("renew");
  }

  #schedule(leastMs = 0): void {
    const delayMs = Math.max(this.#token?.renewInMs ?? Number.POSITIVE_INFINITY, leastMs);
    if (this.#isStopped || delayMs === Number.POSITIVE_INFINITY) return;
    this.#timers.schedule("renew", Math.min(delayMs, MAX_TIMER_MS), () => void this.#renew());
  }

  async #renew(): Promise<void> {
    try {
      const token = await this.#token?.current();
      if (token !== this.#usedToken) this.#onRenewed();
      else this.#schedule();
    } catch {
      this.#schedule(ASK_AGAIN_MS);
    }
  }
}
