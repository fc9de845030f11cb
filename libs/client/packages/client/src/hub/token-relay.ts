/**
 * The bearer token of a hub. The application gives tokens to its tabs only, so the hub asks one of
 * them, and the next one if that does not answer.
 */

import type { HubEnvironment } from "./environment.js";

/** A tab that does not answer in this time is not waited for. */
export const TOKEN_TIMEOUT_MS = 5_000;
/** So many tabs are asked for one token. */
export const MAX_ASKED_TABS = 5;

export class TokenRelay {
  readonly #environment: HubEnvironment;
  readonly #ask: (attempt: number) => void;
  #attempt = 0;
  #timer: unknown = null;
  #request: { resolve(token: string): void; reject(error: Error): void } | null = null;

  /** @param ask  ask a tab, another one at each attempt; it answers by `receive` */
  constructor(environment: HubEnvironment, ask: (attempt: number) => void) {
    this.#environment = environment;
    this.#ask = ask;
  }

  /** A token of one of the tabs. Rejected when none of them has one. */
  request(): Promise<string> {
    this.cancel();
    return new Promise((resolve, reject) => {
      this.#request = { resolve, reject };
      this.#askNext();
    });
  }

  /** @param token  null: the tab has none */
  receive(token: string | null): void {
    if (this.#request === null) return;
    if (token === null) {
      this.#askNext();
      return;
    }
    this.#request.resolve(token);
    this.#end();
  }

  /** Give up what was asked for. */
  cancel(): void {
    this.#request?.reject(new Error("no tab has a token"));
    this.#end();
  }

  #askNext(): void {
    this.#environment.clearTimeout(this.#timer);
    if (this.#attempt >= MAX_ASKED_TABS) {
      this.cancel();
      return;
    }
    this.#attempt += 1;
    this.#timer = this.#environment.setTimeout(() => this.#askNext(), TOKEN_TIMEOUT_MS);
    this.#ask(this.#attempt - 1);
  }

  #end(): void {
    this.#environment.clearTimeout(this.#timer);
    this.#attempt = 0;
    this.#request = null;
  }
}
