/** Quotes and bars: the views of the topics `prices` and `bars:…`. They have no ids. */

import type {
  Bar,
  BarsSnapshot,
  BarUpdate,
  PricesSnapshot,
  PriceUpdate,
  Quote,
} from "../generated/types.js";
import type { StreamEvent } from "../source.js";
import type { Fold, ShownTopics } from "./fold.js";
import { replaceFields } from "./rows.js";

/** A quote, and when it arrived. `quote.age` is its age then, in seconds. */
export interface ReceivedQuote {
  readonly quote: Quote;
  /** Epoch milliseconds. */
  readonly receivedAt: number;
}

export interface PricesState {
  readonly quotes: ReadonlyMap<string, ReceivedQuote>;
  /** Symbols that the stream was asked for and has no quote of. */
  readonly unknown: readonly string[];
}

function isPricesSnapshot(event: StreamEvent): boolean {
  return event.type === "price:update" && Array.isArray((event.data as PricesSnapshot).prices);
}

function toQuote(data: PriceUpdate | Quote, type: string): Quote {
  return type === "price:stale" ? (data as Quote) : { ...data, age: 0, stale: false };
}

/** Whether a stream of `topics` and `symbols` shows the price of `symbol`. */
function showsPrice(content: ShownTopics, symbol: string): boolean {
  if (!content.topics.some((topic) => topic === "prices" || topic.startsWith("prices:")))
    return false;
  return content.symbols === null || content.symbols.includes(symbol);
}

/**
 * Quotes that the stream does not show any more are forgotten: nothing would say that they are old.
 * The first message of a connection has all that it shows.
 */
export const PRICES: Fold<PricesState> = {
  types: ["price:update", "price:stale"],
  empty: { quotes: new Map(), unknown: [] },
  isSnapshot: isPricesSnapshot,
  apply(state, events) {
    let quotes = new Map(state.quotes);
    let unknown = state.unknown;
    for (const event of events) {
      const { data, receivedAt } = event;
      if (isPricesSnapshot(event)) {
        const snapshot = data as PricesSnapshot;
        quotes = new Map(snapshot.prices.map((quote) => [quote.symbol, { quote, receivedAt }]));
        unknown = snapshot.unknown ?? [];
        continue;
      }
      const quote = toQuote(data as PriceUpdate, event.type);
      // Streams of positions say so of every symbol that is held, shown or not.
      if (event.type === "price:stale" && !quotes.has(quote.symbol)) continue;
      quotes.set(quote.symbol, { quote, receivedAt });
      if (unknown.includes(quote.symbol)) unknown = unknown.filter((one) => one !== quote.symbol);
    }
    return { quotes, unknown };
  },
  reset: (state) => state,
  onContent(state, content) {
    const kept = [...state.quotes].filter(([symbol]) => showsPrice(content, symbol));
    const quotes = kept.length === state.quotes.size ? state.quotes : new Map(kept);
    return { quotes, unknown: content.unknown ?? [] };
  },
};

export interface BarsState {
  /** The oldest first. */
  readonly bars: readonly Bar[];
  readonly isLoaded: boolean;
}

/** A snapshot has at most 120; a chart that is open for long has more. */
export const MAX_BARS = 1_000;

function barOf({ symbol, interval, ...bar }: BarUpdate): Bar {
  return bar;
}

function applyBar(bars: readonly Bar[], bar: Bar): readonly Bar[] {
  const last = bars.at(-1);
  if (last === undefined || Date.parse(bar.start) > Date.parse(last.start))
    return [...bars, bar].slice(-MAX_BARS);
  if (bar.start === last.start) return [...bars.slice(0, -1), bar];
  return bars.some((one) => one.start === bar.start)
    ? bars.map((one) => (one.start === bar.start ? bar : one))
    : bars;
}

function applyBarEvent(state: BarsState, event: StreamEvent): BarsState {
  if (event.type === "bar:snapshot")
    return { bars: (event.data as BarsSnapshot).bars, isLoaded: true };
  if (!state.isLoaded) return state;
  return replaceFields(state, { bars: applyBar(state.bars, barOf(event.data as BarUpdate)) });
}

/** The fold of one series, `bars:{symbol}:{interval}`. */
export function barsFold(symbol: string, interval: string): Fold<BarsState> {
  return {
    types: ["bar:snapshot", "bar:update"],
    empty: { bars: [], isLoaded: false },
    isSnapshot: (event) => event.type === "bar:snapshot",
    concerns(event) {
      const data = event.data as BarUpdate | BarsSnapshot;
      return data.symbol === symbol && data.interval === interval;
    },
    apply: (state, events) => events.reduce(applyBarEvent, state),
    reset: (state) => state,
  };
}
