import { Time } from "../values.js";
import type { Column } from "./types.js";

/** A column of times; the first press on its header puts the newest first. */
export function timeColumn<T extends { readonly timestamp: string }>(
  settings: Partial<Column<T>> = {},
): Column<T> {
  return {
    id: "time",
    header: "Time",
    minWidth: 84,
    cell: ({ timestamp }) => <Time value={timestamp} />,
    sortValue: ({ timestamp }) => timestamp,
    firstDirection: "descending",
    ...settings,
  };
}
