/**
 * What a tab sees of the stream's prices: those of its own symbols.
 *
 * The stream shows the prices that any tab wants. A tab that showed a price of another tab would show
 * an old one once that tab is closed.
 */

import { includesTopic } from "../hub/demand.js";
import { quotedSymbol } from "../hub/outbox.js";
import type { StreamEvent, TopicView } from "../source.js";
import { applyEvents } from "../topics.js";

const PRICES = "prices";
const PREFIX = "prices:";

type Data = Readonly<Record<string, unknown>>;

/** The part of an event of the view `prices` that a tab with these topics sees; null: none of it. */
export function restrictEvent(event: StreamEvent, topics: readonly string[]): StreamEvent | null {
  const isWanted = (symbol: unknown): boolean =>
    includesTopic(topics, `${PREFIX}${String(symbol)}`);
  const symbol = quotedSymbol(event);
  if (symbol !== null) return isWanted(symbol) ? event : null;
  if (topics.includes(PRICES) || typeof event.data !== "object" || event.data === null)
    return event;
  const data = event.data as Data;
  const unknown = Array.isArray(data.unknown) ? { unknown: data.unknown.filter(isWanted) } : {};
  if (event.type === "stream:updated") {
    return { ...event, data: { ...data, ...shownContent(topics), ...unknown } };
  }
  if (!Array.isArray(data.prices)) return event;
  const prices = (data.prices as Data[]).filter((quote) => isWanted(quote.symbol));
  return { ...event, data: { ...data, prices, ...unknown } };
}

/** The view `prices` without the symbols that a tab with these topics does not want. */
export function restrictView(view: TopicView, topics: readonly string[]): TopicView {
  if (topics.includes(PRICES)) return view;
  const unknown = ((view.state as { readonly unknown?: readonly string[] }).unknown ?? []).filter(
    (symbol) => includesTopic(topics, `${PREFIX}${symbol}`),
  );
  const data = { ...shownContent(topics), unknown };
  const { state } = applyEvents(PRICES, view, [
    { type: "stream:updated", data, id: null, receivedAt: 0 },
  ]);
  return { ...view, state };
}

function shownContent(topics: readonly string[]): Data {
  const symbols = topics
    .filter((topic) => topic.startsWith(PREFIX))
    .map((topic) => topic.slice(PREFIX.length));
  return { topics, symbols };
}
