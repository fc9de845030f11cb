/** The order of rows and the columns that have room: pure functions. */

import type { Column, Sort, SortDirection } from "./types.js";

const collator = new Intl.Collator(undefined, { numeric: true });

/** Sort keys by a column. Rows without a value come last either way; equal rows keep their order. */
export function sortKeys<T>(
  keys: readonly string[],
  sort: Sort | null,
  columns: readonly Column<T>[],
  getRow: (key: string) => T | undefined,
): readonly string[] {
  const sortValue = columns.find(({ id }) => id === sort?.column)?.sortValue;
  if (sort === null || sortValue === undefined) return keys;
  const sign = sort.direction === "ascending" ? 1 : -1;
  const decorated = keys.map((key) => {
    const row = getRow(key);
    return { key, value: row === undefined ? null : sortValue(row) };
  });
  decorated.sort((a, b) => compareValues(a.value, b.value, sign));
  return decorated.map(({ key }) => key);
}

type SortValue = number | string | null | undefined;

function compareValues(a: SortValue, b: SortValue, sign: number): number {
  const [isAMissing, isBMissing] = [isMissing(a), isMissing(b)];
  if (isAMissing || isBMissing) return Number(isAMissing) - Number(isBMissing);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * collator.compare(String(a), String(b));
}

function isMissing(value: SortValue): boolean {
  return value === null || value === undefined || Number.isNaN(value);
}

/** The sort after a press on a header: the first direction, the other one, and then none. */
export function nextSort(
  sort: Sort | null,
  column: string,
  first: SortDirection = "ascending",
): Sort | null {
  if (sort?.column !== column) return { column, direction: first };
  if (sort.direction !== first) return null;
  return { column, direction: first === "ascending" ? "descending" : "ascending" };
}

export function isSort(value: unknown): value is Sort | null {
  if (value === null) return true;
  if (typeof value !== "object") return false;
  const { column, direction } = value as Partial<Sort>;
  return typeof column === "string" && (direction === "ascending" || direction === "descending");
}

/** The columns that fit into `width`; those with the highest priority number are left out first. */
export function fittingColumns<T>(
  columns: readonly Column<T>[],
  width: number,
): readonly Column<T>[] {
  let shown = columns;
  while (totalWidth(shown) > width) {
    const last = Math.max(...shown.map(({ priority = 0 }) => priority));
    if (last === 0) break;
    shown = shown.filter(({ priority = 0 }) => priority < last);
  }
  return shown;
}

function totalWidth<T>(columns: readonly Column<T>[]): number {
  return columns.reduce((sum, { minWidth }) => sum + minWidth, 0);
}

/** The index of the row to go to, or null for a key that does not move. */
export function targetIndex(
  key: string,
  index: number,
  count: number,
  page: number,
): number | null {
  const last = count - 1;
  const targets: Record<string, number> = {
    ArrowDown: index + 1,
    ArrowUp: index - 1,
    PageDown: index + page,
    PageUp: index - page,
    Home: 0,
    End: last,
  };
  const target = targets[key];
  return target === undefined || last < 0 ? null : Math.min(Math.max(target, 0), last);
}
