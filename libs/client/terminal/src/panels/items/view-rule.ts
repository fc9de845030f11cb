/** Which items a view shows. The server has the same rule. Pure. */

import type { Configuration, Item } from "@tapewire/client";

/** One of its tickers, and one of its tags if it has any. */
export function viewShows(
  view: Pick<Configuration, "tickers" | "tags">,
  item: Pick<Item, "tickers" | "tags">,
): boolean {
  const hasTicker = view.tickers.some((ticker) => item.tickers.includes(ticker));
  return hasTicker && (view.tags.length === 0 || view.tags.some((tag) => item.tags.includes(tag)));
}

/** The entries of a typed list: "IBM, SPY" or "$IBM SPY" of tickers, "#merger" of tags. */
export function parseList(text: string): string[] {
  return [
    ...new Set(
      text
        .split(/[\s,;]+/)
        .map((entry) => entry.replace(/^[$#]/, ""))
        .filter((entry) => entry !== ""),
    ),
  ];
}

/** The URL of an item if a browser may be sent there: http and https alone; null otherwise. */
export function safeUrl(url: string | null): string | null {
  if (url === null) return null;
  try {
    const parsed = new URL(url);
    return parsed.protocol === "https:" || parsed.protocol === "http:" ? parsed.href : null;
  } catch {
    return null;
  }
}
