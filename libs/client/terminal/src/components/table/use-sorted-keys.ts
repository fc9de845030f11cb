import { type RefObject, useEffect, useMemo, useState } from "react";

import { useStoredState } from "../../app/stored-state.js";
import { isSort, nextSort, sortKeys } from "./order.js";
import type { Column, DataTableProps, Sort } from "./types.js";

const RESORT_MS = 1_000;

/**
 * The keys in the order of the remembered sort. Rows of live values move at most once a second, and not
 * while the pointer is over them or one of them has the focus.
 */
export function useSortedKeys<T>(
  props: DataTableProps<T>,
  scroller: RefObject<HTMLElement | null>,
) {
  const { id, columns, rowKeys, rows, defaultSort = null, isLive = false } = props;
  const [sort, setSort] = useStoredState<Sort | null>(`table.${id}.sort`, defaultSort, {
    isValid: isSort,
  });
  const [round, setRound] = useState(0);

  useEffect(() => {
    if (!isLive || sort === null) return;
    const timer = setInterval(() => {
      const element = scroller.current;
      if (document.hidden || !element) return;
      const isInUse = element.matches(":hover") || element.contains(document.activeElement);
      if (!isInUse) setRound((previous) => previous + 1);
    }, RESORT_MS);
    return () => clearInterval(timer);
  }, [isLive, sort, scroller]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a round sorts by the values of now.
  const sorted = useMemo(
    () => sortKeys(rowKeys, sort, columns, rows.get),
    [rowKeys, sort, columns, rows, round],
  );
  // The same array while the order is the same: nothing renders then.
  const [keys, setKeys] = useState(sorted);
  const isSame =
    keys === sorted ||
    (keys.length === sorted.length && keys.every((key, index) => key === sorted[index]));
  if (!isSame) setKeys(sorted);

  const toggleSort = (column: Column<T>) =>
    setSort(
      (previous) =>
        nextSort(previous, column.id, column.firstDirection) ??
        (defaultSort?.column === column.id
          ? { column: column.id, direction: column.firstDirection ?? "ascending" }
          : defaultSort),
    );
  return { keys: isSame ? keys : sorted, sort, toggleSort };
}
