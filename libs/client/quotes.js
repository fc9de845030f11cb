/**
 * Quotes do not go back in time when a stream goes on over another connection.
 *
 * They have no ids. Two servers are never at quite the same quote, so the first ones of a new
 * connection may be older than what was shown last; a quote says when it was made, which decides.
 * Within one connection the order in which they come is right, whatever they say: a recording that
 * is played again begins with earlier times.
 */

/** How long after a change of connections older quotes are kept from the page. */
export const WATCH_MS = 5_000;

/** @typedef {{symbol: string, timestamp: string}} Quote */

const TYPES = new Set(["price:update", "PRICE_UPDATE"]);

export class Quotes {
  /** @type {Map<string, Quote>} the last one shown of each symbol */
  #shown = new Map();
  /** @type {Map<string, Quote>} of those, what the present connection has not caught up with */
  #ahead = new Map();
  #until = 0;

  /** @param {number} now  milliseconds: from here on another connection is read */
  turn(now) {
    this.#ahead = new Map(this.#shown);
    this.#until = now + WATCH_MS;
  }

  /**
   * The data of an event as it is to be shown: where a list has an older quote than was shown, the
   * newer one stands in its place.
   *
   * @param {string} type
   * @param {any} data
   * @param {number} now
   * @returns {any} undefined: nothing of it is to be shown
   */
  pass(type, data, now) {
    if (!TYPES.has(type) || typeof data !== "object" || data === null) return data;
    if (this.#ahead.size > 0 && now >= this.#until) this.#ahead.clear();
    if (Array.isArray(data.prices)) {
      const prices = data.prices.map((/** @type {Quote} */ quote) => this.#newer(quote) ?? quote);
      prices.forEach((/** @type {Quote} */ quote) => this.#shown.set(quote.symbol, quote));
      return { ...data, prices };
    }
    if (this.#newer(data)) return undefined;
    this.#shown.set(data.symbol, data);
    return data;
  }

  /**
   * What was shown of its symbol when that is newer; what is not older settles the matter.
   *
   * @param {Quote} quote
   */
  #newer(quote) {
    const shown = this.#ahead.get(quote.symbol);
    if (shown && Date.parse(shown.timestamp) > Date.parse(quote.timestamp)) return shown;
    this.#ahead.delete(quote.symbol);
    return undefined;
  }
}
