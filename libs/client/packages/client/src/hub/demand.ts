/**
 * The topics of the one stream: the union of what tabs want, in a stable order.
 *
 * `prices` includes each `prices:SYM`. Private topics are left out while nobody is signed in. A topic
 * that nobody wants any more lingers: a page that is loaded anew wants the same a moment later.
 */

import { LINGER_MS } from "./messages.js";

/** With more symbols than this, the stream shows all of them. */
export const MAX_SYMBOLS = 200;

const ALL_PRICES = "prices";
const PRICE_PREFIX = "prices:";

/** Names that the server would refuse, and the whole stream with them. */
const MALFORMED = /[^\x20-\x7e]|,|: | (:|$)|:(:|$)/;

/**
 * The topics of a stream that shows `topics`, sorted, without those that another one includes, and
 * without malformed ones.
 */
export function mergeTopics(topics: Iterable<string>): string[] {
  const merged = new Set([...topics].filter((topic) => !MALFORMED.test(topic)));
  const symbols = [...merged].filter((topic) => topic.startsWith(PRICE_PREFIX));
  if (symbols.length > MAX_SYMBOLS) merged.add(ALL_PRICES);
  if (merged.has(ALL_PRICES)) for (const topic of symbols) merged.delete(topic);
  return [...merged].sort();
}

/** Whether a stream of the sorted `topics` shows `topic`. */
export function includesTopic(topics: readonly string[], topic: string): boolean {
  return topics.includes(topic) || (topic.startsWith(PRICE_PREFIX) && topics.includes(ALL_PRICES));
}

/** Since when topics are not wanted any more (epoch milliseconds); null: they are wanted. */
export type Demand = ReadonlyMap<string, number | null>;

/**
 * The demand after `wanted` replaced what was wanted before. Topics whose time is over are gone.
 *
 * @param linger  false: topics that are not wanted are gone at once
 */
export function demandAfter(
  before: Demand,
  wanted: ReadonlySet<string>,
  now: number,
  linger = true,
): Demand {
  const after = new Map<string, number | null>();
  for (const topic of wanted) after.set(topic, null);
  for (const [topic, since] of before) {
    if (after.has(topic) || !linger) continue;
    const unwantedSince = since ?? now;
    // A clock that was set back must not keep a topic for ever.
    if (Math.abs(now - unwantedSince) < LINGER_MS) after.set(topic, unwantedSince);
  }
  return after;
}

/** When the next topic of `demand` is over; null: none is. */
export function nextEnd(demand: Demand): number | null {
  let next: number | null = null;
  for (const since of demand.values()) {
    if (since !== null) next = Math.min(next ?? Infinity, since + LINGER_MS);
  }
  return next;
}
