/** Pages of lists, from the REST API. */

import type { CallOptions, TapewireClient } from "../interfaces.js";
import { isNews } from "../position.js";
import { ApiError } from "../rest.js";
import type { Page } from "./pages.js";

/** How often a page is asked for that is older than the view, and the pauses in between. */
const MAX_OLD_PAGES = 10;
const OLD_PAGE_PAUSE_MS = 200;
const MAX_PAUSE_MS = 1_000;

/** A list of the REST API. */
export interface PageSource<V> {
  readonly path: string;
  /** The page in an answer. */
  read(answer: never): Page<V>;
}

/** The page at `cursor`, or the first one. */
export async function loadPage<V>(
  call: TapewireClient["call"],
  { path, read }: PageSource<V>,
  cursor: string | undefined,
  options: CallOptions,
): Promise<Page<V>> {
  const separator = path.includes("?") ? "&" : "?";
  const query = cursor === undefined ? "" : `${separator}cursor=${encodeURIComponent(cursor)}`;
  return read(await call<never>("GET", `${path}${query}`, undefined, options));
}

/**
 * A page that is not older than the view: the process that answers may be behind the one that streams,
 * and what happened in between would be in neither.
 *
 * @param coveredFrom  the id from which the view has everything; null if there is none
 * @throws Error  no page is as new as the view
 */
export async function loadCurrentPage<V>(
  load: () => Promise<Page<V>>,
  coveredFrom: () => string | null,
  signal: AbortSignal,
): Promise<Page<V>> {
  for (let tries = 1; ; tries++) {
    const page = await load();
    const from = coveredFrom();
    const isOld = from !== null && isNews(from, page.asOf);
    if (!isOld || signal.aborted) return page;
    if (tries >= MAX_OLD_PAGES)
      throw new Error(`the list of ${page.asOf} is older than the stream`);
    const pause = Math.min(OLD_PAGE_PAUSE_MS * tries, MAX_PAUSE_MS);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Whether a cursor is refused because the journal was replaced. */
export function isOtherJournal(error: unknown): boolean {
  return error instanceof ApiError && error.statusCode === 422 && error.field === "cursor";
}
