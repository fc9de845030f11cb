/**
 * Keeps quotes from going back in time when a stream continues on another connection.
 *
 * Quotes have no ids. Two servers are rarely at the same quote, therefore the first quotes of a new
 * connection may be older than the last delivered ones. Their timestamps decide, but only where they
 * differ by as little as two servers do: a clock that is wrong by more holds no quote back. Within one
 * connection the order of arrival is right whatever the timestamps say.
 */

/** How long after a change of connections older quotes are dropped, and how much older they are. */
export const REORDER_WINDOW_MS = 5_000;

/** @typedef {{symbol: string, timestamp: string, stale?: boolean, age?: number}} Quote */

const QUOTE_EVENT_TYPES = new Set(["price:update", "PRICE_UPDATE"]);

export class QuoteOrderFilter {
  /** @type {Map<string, Quote>} the last delivered quote of each symbol */
  #lastDelivered = new Map();
  /** @type {Map<string, Quote>} of those, the ones that the current connection has not reached */
  #newerThanStream = new Map();
  #windowEndsAt = 0;

  /** @param {number} now  milliseconds; events come from another connection from now on */
  onConnectionChanged(now) {
    this.#newerThanStream = new Map(this.#lastDelivered);
    this.#windowEndsAt = now + REORDER_WINDOW_MS;
  }

  /**
   * The data of an event to deliver. In a list, an older quote is replaced by the delivered one, but
   * it is as stale as the server says.
   *
   * @param {string} type
   * @param {any} data
   * @param {number} now
   * @returns {any} undefined: deliver nothing
   */
  filter(type, data, now) {
    if (!QUOTE_EVENT_TYPES.has(type) || typeof data !== "object" || data === null) return data;
    if (this.#newerThanStream.size > 0 && now >= this.#windowEndsAt) this.#newerThanStream.clear();
    if (Array.isArray(data.prices)) {
      /** @type {Quote[]} */
      const quotes = data.prices;
      const prices = quotes.map((quote) => {
        const newer = this.#newerQuoteFor(quote);
        return newer ? { ...newer, stale: quote.stale, age: quote.age } : quote;
      });
      for (const quote of prices) this.#lastDelivered.set(quote.symbol, quote);
      return { ...data, prices };
    }
    if (this.#newerQuoteFor(data)) return undefined;
    this.#lastDelivered.set(data.symbol, data);
    return data;
  }

  /**
   * The delivered quote of the same symbol if it is newer than `quote`.
   *
   * @param {Quote} quote
   */
  #newerQuoteFor(quote) {
    const delivered = this.#newerThanStream.get(quote.symbol);
    const lead = delivered ? Date.parse(delivered.timestamp) - Date.parse(quote.timestamp) : 0;
    if (lead > 0 && lead <= REORDER_WINDOW_MS) return delivered;
    this.#newerThanStream.delete(quote.symbol);
    return undefined;
  }
}
