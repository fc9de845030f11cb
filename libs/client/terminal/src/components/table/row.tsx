import {
  type ButtonHTMLAttributes,
  type CSSProperties,
  createContext,
  type KeyboardEvent,
  memo,
  use,
} from "react";

import type { Column, DataTableProps } from "./types.js";

/** Whether the row is the one that the Tab key reaches. */
const RowContext = createContext(false);

/** A button in a row. The Tab key reaches it in the current row alone; arrow right goes to it from the row. */
export function RowButton({ className = "", ...props }: ButtonHTMLAttributes<HTMLButtonElement>) {
  return (
    <button
      type="button"
      {...props}
      className={`row-button ${className}`}
      tabIndex={use(RowContext) ? 0 : -1}
    />
  );
}

export interface RowProps<T> {
  readonly rowKey: string;
  readonly index: number;
  readonly columns: readonly Column<T>[];
  readonly useRow: (key: string) => T | undefined;
  readonly style: CSSProperties;
  readonly isCurrent: boolean;
  readonly isSelected: boolean;
  readonly isSelectable: boolean;
  readonly rowAttributes: DataTableProps<T>["rowAttributes"];
  /** Measures rows of several lines. */
  readonly measure: ((element: Element | null) => void) | undefined;
  readonly onFocusRow: (key: string) => void;
  readonly onPress: (key: string) => void;
  readonly onDoublePress: (key: string) => void;
  readonly onKey: (key: string, event: KeyboardEvent<HTMLElement>) => void;
}

function PlainRow<T>(props: RowProps<T>) {
  const { rowKey, index, columns, useRow, isCurrent, isSelected, isSelectable, rowAttributes } =
    props;
  const row = useRow(rowKey);
  return (
    <tr
      role="row"
      ref={props.measure}
      data-index={index}
      data-key={rowKey}
      className="table-row"
      style={props.style}
      tabIndex={isCurrent ? 0 : -1}
      aria-rowindex={index + 2}
      aria-selected={isSelectable ? isSelected : undefined}
      onFocus={() => props.onFocusRow(rowKey)}
      onClick={() => props.onPress(rowKey)}
      onDoubleClick={() => props.onDoublePress(rowKey)}
      onKeyDown={(event) => props.onKey(rowKey, event)}
      {...(row === undefined ? undefined : rowAttributes?.(row))}
    >
      <RowContext value={isCurrent}>
        {columns.map((column, position) => {
          const shared = {
            className: "table-cell",
            "data-align": column.align,
            "data-column": column.id,
            "aria-colindex": position + 1,
          };
          const content = row === undefined ? null : column.cell(row, rowKey);
          if (column.isRowHeader)
            return (
              <th key={column.id} role="rowheader" scope="row" {...shared}>
                {content}
              </th>
            );
          return (
            <td key={column.id} role="gridcell" {...shared}>
              {content}
            </td>
          );
        })}
      </RowContext>
    </tr>
  );
}

/** Renders again when its own row or its place changes, not with the table. */
export const Row = memo(PlainRow) as typeof PlainRow;
