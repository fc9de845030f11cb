/**
 * Notices when a stream that shows prices falls silent: its prices are then not known to be current.
 *
 * The server sends something on such a stream every `pricesKeepaliveMs` (in `connected`), and it says
 * itself which quotes are stale. A server that stands still says nothing, so silence counts as well.
 */

import { InactivityTimeout } from "./inactivity-timeout.js";

/** A stream that is silent for this many of its intervals may show prices that are too old. */
export const SILENT_PRICE_INTERVALS = 3;

export class PriceSilence {
  #clock;
  #onChange;
  #intervalMs = 0;
  #showsPrices = false;
  /** @type {InactivityTimeout | null} */
  #timeout = null;
  isSilent = false;

  /**
   * @param {import("./inactivity-timeout.js").Clock} clock
   * @param {() => void} onChange  called when `isSilent` has changed
   */
  constructor(clock, onChange) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /**
   * An event arrived.
   *
   * @param {string} type
   * @param {any} data
   */
  onEvent(type, data) {
    const name = type.toLowerCase();
    if (name === "connected") {
      this.#intervalMs = data?.pricesKeepaliveMs ?? data?.prices_keepalive_ms ?? 0;
      this.#showsPrices = false;
    } else {
      this.#showsPrices ||= name.startsWith("price:") || name.startsWith("price_");
    }
    this.onBytes();
  }

  /** The stream is not silent. */
  onBytes() {
    if (!this.#showsPrices || !(this.#intervalMs > 0)) return;
    this.#timeout ??= new InactivityTimeout(this.#clock, () => this.#setSilent(true));
    this.#timeout.extend(this.#intervalMs * SILENT_PRICE_INTERVALS);
    this.#setSilent(false);
  }

  stop() {
    this.#timeout?.stop();
    this.#timeout = null;
    this.#showsPrices = false;
    this.isSilent = false;
  }

  /** @param {boolean} isSilent */
  #setSilent(isSilent) {
    if (isSilent) this.#timeout = null; // it fires once
    if (this.isSilent === isSilent) return;
    this.isSilent = isSilent;
    this.#onChange();
  }
}
