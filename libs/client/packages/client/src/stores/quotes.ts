/** The store of prices. */

import type { Quote } from "../generated/types.js";
import type { QuoteStore, Readable, Unsubscribe } from "../interfaces.js";
import type { TopicChange, TopicSource } from "../source.js";
import type { PricesState, ReceivedQuote } from "../views/prices.js";
import { Demand } from "./demand.js";
import { isSameList, KeyedListeners, Value } from "./readable.js";

const ALL = "prices";

/**
 * Quotes by symbol. `keys` asks for all symbols, `subscribe(symbol)` for one. Listeners are called when
 * the quote changes and when it becomes or ceases to be current.
 *
 * A symbol without a quote stands for the one in upper case, as on the stream.
 */
export class Quotes implements QuoteStore {
  readonly #source: TopicSource;
  readonly #now: () => number;
  readonly #listeners: KeyedListeners;
  readonly #all: Demand<PricesState>;
  readonly #bySymbol = new Map<string, Demand<PricesState>>();
  readonly #keys: Value<readonly string[]>;
  readonly #unknown: Value<readonly string[]>;
  readonly #forgetCurrent: Unsubscribe;
  #quotes: PricesState["quotes"] = new Map();
  /** The state that was taken last; null when what is asked for has changed since. */
  #taken: PricesState | null = null;

  readonly keys: Readable<readonly string[]>;
  readonly unknown: Readable<readonly string[]>;

  constructor(source: TopicSource, now: () => number) {
    this.#source = source;
    this.#now = now;
    this.#all = new Demand(source, ALL, this.#onChange, this.#onDemand);
    this.#listeners = new KeyedListeners((symbol) => this.#useSymbol(symbol));
    this.#keys = new Value<readonly string[]>([], this.#all.use);
    this.#unknown = new Value<readonly string[]>([]);
    this.keys = this.#keys;
    this.unknown = this.#unknown;
    this.#forgetCurrent = source.isCurrent.subscribe(() => {
      for (const symbol of this.#listeners.keys()) this.#listeners.notify(symbol);
    });
  }

  get = (symbol: string): Quote | undefined => this.#received(symbol)?.quote;

  subscribe = (symbol: string, listener: () => void): Unsubscribe =>
    this.#listeners.add(symbol, listener);

  isLive = (symbol: string): boolean => {
    const quote = this.get(symbol);
    return (
      quote !== undefined &&
      !quote.stale &&
      this.#isDemanded(symbol) &&
      this.#source.isCurrent.get()
    );
  };

  ageSeconds = (symbol: string): number | null => {
    const received = this.#received(symbol);
    if (received === undefined) return null;
    return received.quote.age + Math.max(0, this.#now() - received.receivedAt) / 1_000;
  };

  release(): void {
    this.#forgetCurrent();
    this.#all.release();
    for (const demand of [...this.#bySymbol.values()]) demand.release();
  }

  #received(symbol: string): ReceivedQuote | undefined {
    return received(this.#quotes, symbol);
  }

  #useSymbol(symbol: string): Unsubscribe {
    let demand = this.#bySymbol.get(symbol);
    if (demand === undefined) {
      demand = new Demand(this.#source, `prices:${symbol}`, this.#onChange, () => {
        this.#bySymbol.delete(symbol);
        this.#onDemand();
      });
      this.#bySymbol.set(symbol, demand);
    }
    return demand.use();
  }

  /** Whether anything asks for the symbol: nobody would say that the price of another one is old. */
  #isDemanded(symbol: string): boolean {
    return this.#all.isActive || this.#bySymbol.has(symbol);
  }

  /** The symbols of all quotes, or of those that were asked for one by one. */
  #sortedKeys(quotes: PricesState["quotes"]): readonly string[] {
    const known = this.#keys.get();
    if (!this.#all.isActive) {
      const symbols = [...this.#bySymbol.keys()].map(
        (symbol) => received(quotes, symbol)?.quote.symbol,
      );
      return [...new Set(symbols.filter((symbol) => symbol !== undefined))].sort();
    }
    const isUnchanged = known.length === quotes.size && known.every((symbol) => quotes.has(symbol));
    return isUnchanged ? known : [...quotes.keys()].sort();
  }

  readonly #onChange = ({ events }: TopicChange<PricesState>): void => {
    if (events === null) this.#taken = null; // also after a subscription
    this.#update();
  };

  /** What is asked for has changed. */
  readonly #onDemand = (): void => {
    this.#taken = null;
    this.#update();
  };

  /** Take the quotes of the view, once for all topics that share it. */
  #update(): void {
    const state = this.#source.view(ALL).state as PricesState;
    if (state === this.#taken) return;
    this.#taken = state;
    const before = this.#quotes;
    const { quotes, unknown } = state;
    this.#quotes = quotes;
    const keys = this.#sortedKeys(quotes);
    const asked = unknown.filter((symbol) => this.#bySymbol.has(symbol));
    const isMoved = !isSameList(keys, this.#keys.get()) && this.#keys.replace(keys);
    const isOther = !isSameList(asked, this.#unknown.get()) && this.#unknown.replace(asked);
    if (quotes !== before) {
      for (const symbol of this.#listeners.keys()) {
        if (received(before, symbol) !== received(quotes, symbol)) this.#listeners.notify(symbol);
      }
    }
    if (isMoved) this.#keys.notify();
    if (isOther) this.#unknown.notify();
  }
}

function received(quotes: PricesState["quotes"], symbol: string): ReceivedQuote | undefined {
  return quotes.get(symbol) ?? quotes.get(symbol.toUpperCase());
}
