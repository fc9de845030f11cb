import type { PagedStore } from "@tapewire/client";
import { useKeys, useReadable } from "@tapewire/react";

import type { DataTableProps } from "./types.js";

/** The properties of a table that shows a list of the client, and loads its older rows at the end. */
export function useStoreRows<T>(
  store: PagedStore<T>,
): Pick<DataTableProps<T>, "rows" | "rowKeys" | "onEndReached"> {
  const rowKeys = useKeys(store);
  const hasMore = useReadable(store.hasMore);
  const loadMore = () => void store.loadMore().catch(() => undefined); // the error is in the status
  return { rows: store, rowKeys, onEndReached: hasMore ? loadMore : undefined };
}
