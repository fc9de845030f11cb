import type { Configuration, Item, ItemList, ListStatus } from "@tapewire/client";
import { useKeys, useTapewire } from "@tapewire/react";
import { useCallback, useEffect, useMemo, useState } from "react";

import { viewShows } from "./view-rule.js";

const PAGE = 100;

export interface ViewItems {
  /** The newest first. */
  readonly items: readonly Item[];
  readonly status: ListStatus;
  readonly loadFirst: () => void;
  /** Loads older items; null when there are none. */
  readonly loadMore: (() => void) | null;
}

/** The items of a view: pages of the server, and what has arrived since. */
export function useViewItems(view: Configuration): ViewItems {
  const client = useTapewire();
  const ids = useKeys(client.items);
  const [page, setPage] = useState<{
    readonly items: readonly Item[];
    readonly next: string | undefined;
  }>({ items: [], next: undefined });
  const [status, setStatus] = useState<ListStatus>({ name: "loading" });

  const load = useCallback(
    async (cursor: string | undefined, signal: AbortSignal) => {
      setStatus({ name: "loading" });
      try {
        const query = new URLSearchParams({
          configuration: view.id,
          limit: String(PAGE),
          ...(cursor !== undefined && { cursor }),
        });
        const list = await client.call<ItemList>("GET", `/api/v2/items?${query}`, undefined, {
          signal,
        });
        setPage((previous) => ({
          items: cursor === undefined ? list.items : [...previous.items, ...list.items],
          next: list.next,
        }));
        setStatus({ name: "ready" });
      } catch (reason) {
        const error = reason instanceof Error ? reason : new Error(String(reason));
        if (!signal.aborted) setStatus({ name: "failed", error });
      }
    },
    [client, view.id],
  );

  useEffect(() => {
    const abort = new AbortController();
    void load(undefined, abort.signal);
    return () => abort.abort();
  }, [load]);

  const items = useMemo(() => {
    const live = ids
      .map((id) => client.items.get(id))
      .filter((item): item is Item => item !== undefined && viewShows(view, item));
    const liveIds = new Set(live.map(({ id }) => id));
    return [...live, ...page.items.filter(({ id }) => !liveIds.has(id))].sort((a, b) =>
      b.timestamp.localeCompare(a.timestamp),
    );
  }, [client, ids, page, view]);

  const loadFrom = (cursor: string | undefined) => () =>
    void load(cursor, new AbortController().signal);
  return {
    items,
    status,
    loadFirst: loadFrom(undefined),
    loadMore: page.next === undefined ? null : loadFrom(page.next),
  };
}
