/**
 * Keeps quotes from going back in time when a stream continues on another connection.
 *
 * Quotes have no ids. Two servers are rarely at the same quote, therefore the first quotes of a new
 * connection may be older than the last delivered ones. Their timestamps decide, but only where they
 * differ by as little as two servers do: a clock that is wrong by more holds no quote back. Within one
 * connection the order of arrival is right whatever the timestamps say.
 */

import { memberOf } from "./callbacks.js";

/** How long after a change of connections older quotes are dropped, and how much older they are. */
export const REORDER_WINDOW_MS = 5_000;

/** What ordering needs of a quote. */
interface TimedQuote {
  readonly symbol: string;
  readonly timestamp: string;
  readonly stale?: unknown;
  readonly age?: unknown;
}

const QUOTE_EVENT_TYPES = new Set(["price:update", "PRICE_UPDATE"]);

export class QuoteOrderFilter {
  /** The last delivered quote of each symbol. */
  readonly #lastDelivered = new Map<string, TimedQuote>();
  /** Of those, the ones that the current connection has not reached. */
  #newerThanStream = new Map<string, TimedQuote>();
  #windowEndsAt = 0;

  /** @param now  milliseconds; events come from another connection from now on */
  onConnectionChanged(now: number): void {
    this.#newerThanStream = new Map(this.#lastDelivered);
    this.#windowEndsAt = now + REORDER_WINDOW_MS;
  }

  /**
   * The data of an event to deliver. In a list, an older quote is replaced by the delivered one, but
   * it is as stale as the server says.
   *
   * @returns undefined: deliver nothing
   */
  filter(type: string, data: unknown, now: number): unknown {
    if (!QUOTE_EVENT_TYPES.has(type) || typeof data !== "object" || data === null) return data;
    if (this.#newerThanStream.size > 0 && now >= this.#windowEndsAt) this.#newerThanStream.clear();
    const quotes = memberOf(data, "prices");
    if (Array.isArray(quotes)) {
      const prices = (quotes as TimedQuote[]).map((quote) => {
        const newer = this.#newerQuoteFor(quote);
        return newer ? { ...newer, stale: quote.stale, age: quote.age } : quote;
      });
      for (const quote of prices) this.#lastDelivered.set(quote.symbol, quote);
      return { ...data, prices };
    }
    const quote = data as TimedQuote;
    if (this.#newerQuoteFor(quote)) return undefined;
    this.#lastDelivered.set(quote.symbol, quote);
    return data;
  }

  /** The delivered quote of the same symbol if it is newer than `quote`. */
  #newerQuoteFor(quote: TimedQuote): TimedQuote | undefined {
    const delivered = this.#newerThanStream.get(quote.symbol);
    const lead = delivered ? Date.parse(delivered.timestamp) - Date.parse(quote.timestamp) : 0;
    if (lead > 0 && lead <= REORDER_WINDOW_MS) return delivered;
    this.#newerThanStream.delete(quote.symbol);
    return undefined;
  }
}
