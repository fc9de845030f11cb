/**
 * Recent prices of the symbols that are on the screen, for their lines. They belong to the page and
 * live as long as it does, so that a row that was scrolled away has its line when it comes back.
 */

import type { TapewireClient } from "@tapewire/client";

import { POINT_MS, type PricePoint, withPrice } from "./sparkline.js";

const NO_POINTS: readonly PricePoint[] = [];
/** Lines that are remembered; the one that was watched least recently goes first. */
const MAX_LINES = 500;

export class SparklineStore {
  readonly #prices: TapewireClient["prices"];
  readonly #lines = new Map<string, readonly PricePoint[]>();

  constructor(prices: TapewireClient["prices"]) {
    this.#prices = prices;
  }

  get(symbol: string): readonly PricePoint[] {
    return this.#lines.get(symbol) ?? NO_POINTS;
  }

  /** Sample the price of a symbol until the result is called. */
  watch(symbol: string, onChange: () => void): () => void {
    const sample = () => {
      const price = this.#prices.isLive(symbol) ? this.#prices.get(symbol)?.price : undefined;
      if (price === undefined) return;
      const before = this.get(symbol);
      const after = withPrice(before, price, Date.now());
      if (after === before) return;
      this.#lines.delete(symbol);
      this.#lines.set(symbol, after);
      if (this.#lines.size > MAX_LINES) this.#lines.delete(this.#lines.keys().next().value ?? "");
      onChange();
    };
    sample();
    const timer = setInterval(sample, POINT_MS);
    return () => clearInterval(timer);
  }
}
