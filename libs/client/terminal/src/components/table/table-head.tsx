import type { KeyboardEvent } from "react";

import type { Column, Sort, SortDirection } from "./types.js";

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
        {columns.map((column, index) => (
          <HeadCell
            key={column.id}
            column={column}
            index={index}
            direction={sort?.column === column.id ? sort.direction : undefined}
            onSort={onSort}
          />
        ))}
      </tr>
    </thead>
  );
}

interface HeadCellProps<T> extends Pick<TableHeadProps<T>, "onSort"> {
  readonly column: Column<T>;
  readonly index: number;
  readonly direction: SortDirection | undefined;
}

const MARKS = { ascending: "↑", descending: "↓" };

function HeadCell<T>({ column, index, direction, onSort }: HeadCellProps<T>) {
  const text = column.header || <span className="sr-only">{column.label}</span>;
  return (
    <th
      role="columnheader"
      scope="col"
      className="table-cell"
      data-align={column.align}
      aria-colindex={index + 1}
      aria-sort={column.sortValue ? (direction ?? "none") : undefined}
    >
      {column.sortValue ? (
        <button
          type="button"
          className="sort-button"
          data-sort={column.id}
          onClick={() => onSort(column)}
        >
          {text}
          <span aria-hidden="true" className="sort-mark">
            {direction && MARKS[direction]}
          </span>
        </button>
      ) : (
        text
      )}
    </th>
  );
}
