/**
 * Notices when a stream that shows prices falls silent: its prices are then not known to be current.
 *
 * The server sends something on such a stream every `pricesKeepaliveMs` (in `connected`), and it says
 * itself which quotes are stale. A server that stands still says nothing, so silence counts as well.
 */

import { memberOf } from "./callbacks.js";
import { InactivityTimeout } from "./inactivity-timeout.js";
import type { Clock } from "./types.js";

/** A stream that is silent for this many of its intervals may show prices that are too old. */
export const SILENT_PRICE_INTERVALS = 3;

export class PriceSilence {
  readonly #clock: Clock;
  readonly #onChange: () => void;
  #intervalMs = 0;
  #showsPrices = false;
  #timeout: InactivityTimeout | null = null;
  isSilent = false;

  /** @param onChange  called when `isSilent` has changed */
  constructor(clock: Clock, onChange: () => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** An event arrived. */
  onEvent(type: string, data: unknown): void {
    const name = type.toLowerCase();
    if (name === "connected") {
      this.#intervalMs = Number(
        memberOf(data, "pricesKeepaliveMs") ?? memberOf(data, "prices_keepalive_ms") ?? 0,
      );
      this.#showsPrices = false;
    } else {
      this.#showsPrices ||= name.startsWith("price:") || name.startsWith("price_");
    }
    this.onBytes();
  }

  /** The stream is not silent. */
  onBytes(): void {
    if (!this.#showsPrices || !(this.#intervalMs > 0)) return;
    this.#timeout ??= new InactivityTimeout(this.#clock, () => this.#setSilent(true));
    this.#timeout.extend(this.#intervalMs * SILENT_PRICE_INTERVALS);
    this.#setSilent(false);
  }

  stop(): void {
    this.#timeout?.stop();
    this.#timeout = null;
    this.#showsPrices = false;
    this.isSilent = false;
  }

  #setSilent(isSilent: boolean): void {
    if (isSilent) this.#timeout = null; // it fires once
    if (this.isSilent === isSilent) return;
    this.isSilent = isSilent;
    this.#onChange();
  }
}
