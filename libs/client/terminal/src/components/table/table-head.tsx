import type { KeyboardEvent } from "react";

import type { Column, Sort } from "./types.js";

export interface TableHeadProps<T> {
  readonly columns: readonly Column<T>[];
  readonly sort: Sort | null;
  readonly onSort: (column: Column<T>) => void;
  /** Arrow down goes from the head to the rows. */
  readonly onLeave: () => void;
}

export function TableHead<T>({ columns, sort, onSort, onLeave }: TableHeadProps<T>) {
  function handleKey(event: KeyboardEvent<HTMLElement>) {
    if (event.key !== "ArrowDown") return;
    event.preventDefault();
    onLeave();
  }
  return (
    <thead role="rowgroup" className="table-head" onKeyDown={handleKey}>
      <tr role="row" className="table-row" aria-rowindex={1}>
        {columns.map((column, index) => {
          const direction = sort?.column === column.id ? sort.direction : undefined;
          const label = column.label ?? column.header;
          return (
            <th
              key={column.id}
              role="columnheader"
              scope="col"
              className="table-cell"
              data-align={column.align}
              aria-colindex={index + 1}
              aria-sort={column.sortValue ? (direction ?? "none") : undefined}
            >
              {column.sortValue ? (
                <button type="button" className="sort-button" data-sort={column.id} onClick={() => onSort(column)}>
                  {column.header || <span className="sr-only">{label}</span>}
                  <span aria-hidden="true" className="sort-mark">
                    {direction === "ascending" ? "↑" : direction === "descending" ? "↓" : ""}
                  </span>
                </button>
              ) : (
                column.header || <span className="sr-only">{label}</span>
              )}
            </th>
          );
        })}
      </tr>
    </thead>
  );
}
