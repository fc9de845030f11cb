import type { KeyedReadable } from "@tapewire/client";
import type { ReactNode } from "react";

export type SortDirection = "ascending" | "descending";

export interface Sort {
  readonly column: string;
  readonly direction: SortDirection;
}

export interface Column<T> {
  readonly id: string;
  readonly header: string;
  /** The header's text for screen readers when `header` is a symbol or empty. */
  readonly label?: string;
  readonly cell: (row: T, key: string) => ReactNode;
  readonly align?: "start" | "end";
  /** In pixels at normal text size; the column grows from here by `grow`. */
  readonly minWidth: number;
  /** 1 by default; 0 keeps the width. */
  readonly grow?: number;
  /** In a narrow panel the columns with the highest number go first. 0, the default, never goes. */
  readonly priority?: number;
  readonly isRowHeader?: boolean;
  /** Makes the column sortable. Rows without a value come last. */
  readonly sortValue?: (row: T) => number | string | null | undefined;
  /** The direction of the first press. */
  readonly firstDirection?: SortDirection;
}

export interface DataTableProps<T> {
  /** The key of what is remembered of this table, such as "blotter". */
  readonly id: string;
  /** The id of the heading that names the table, or a name. */
  readonly labelledBy?: string;
  readonly label?: string;
  readonly columns: readonly Column<T>[];
  /** The rows in their own order; sorting starts from it. */
  readonly rowKeys: readonly string[];
  /** The rows by key. Each row on the screen subscribes to its own, so a tick renders one row. */
  readonly rows: Pick<KeyedReadable<T>, "get" | "subscribe">;
  readonly defaultSort?: Sort;
  /** Whether values change by themselves: sorted rows then move at most once a second, and not while in use. */
  readonly isLive?: boolean;
  readonly selectedKey?: string | null;
  readonly onSelect?: (key: string) => void;
  /** Enter, or a double click. */
  readonly onAction?: (key: string) => void;
  /** Further keys on a focused row; return true when handled. */
  readonly onRowKey?: (key: string, event: React.KeyboardEvent) => boolean;
  /** Attributes of a row for styles, such as `{"data-side": "buy"}`. */
  readonly rowAttributes?: (row: T) => Record<`data-${string}`, string | undefined>;
  /** Rows have several lines; they are measured. */
  readonly hasTallRows?: boolean;
  /** Shown instead of an empty table. */
  readonly empty: ReactNode;
  /** Loads older rows when the end comes near. */
  readonly onEndReached?: (() => void) | undefined;
  /** All rows there are, if the table holds only some of them. */
  readonly totalRows?: number;
}
