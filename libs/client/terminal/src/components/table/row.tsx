import { useKeyed } from "@tapewire/react";
import {
  type ButtonHTMLAttributes,
  type CSSProperties,
  createContext,
  type FocusEvent,
  type KeyboardEvent,
  memo,
  use,
  useCallback,
  useLayoutEffect,
  useRef,
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
  readonly rows: DataTableProps<T>["rows"];
  readonly style: CSSProperties;
  readonly isCurrent: boolean;
  readonly isSelected: boolean;
  readonly isSelectable: boolean;
  readonly rowAttributes: DataTableProps<T>["rowAttributes"];
  /** Measures rows of several lines. */
  readonly measure: ((row: HTMLElement | null) => (() => void) | undefined) | undefined;
  readonly onFocusRow: (key: string) => void;
  readonly onPress: (key: string) => void;
  readonly onDoublePress: (key: string) => void;
  readonly onKey: (key: string, event: KeyboardEvent<HTMLElement>) => void;
}

function PlainRow<T>(props: RowProps<T>) {
  const { rowKey, index, columns, rows, isCurrent, isSelected, isSelectable, rowAttributes } =
    props;
  const row = useKeyed(rows, rowKey);
  const { setElement, focusHandlers } = useKeptFocus(props.measure);
  return (
    <tr
      role="row"
      ref={setElement}
      data-index={index}
      data-key={rowKey}
      className="table-row"
      style={props.style}
      tabIndex={isCurrent ? 0 : -1}
      aria-rowindex={index + 2}
      aria-selected={isSelectable ? isSelected : undefined}
      onFocus={() => {
        focusHandlers.onFocus();
        props.onFocusRow(rowKey);
      }}
      onBlur={focusHandlers.onBlur}
      onClick={() => props.onPress(rowKey)}
      onDoubleClick={({ target }) => {
        const isOnControl =
          target instanceof Element && target.closest("button, a, input") !== null;
        if (!isOnControl) props.onDoublePress(rowKey);
      }}
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

/**
 * Keeps the focus in the row when a button that has it goes away, as “Cancel” does once an order is
 * canceled. React does not report the blur of an element that it removes.
 */
function useKeptFocus(measure: RowProps<never>["measure"]) {
  const element = useRef<HTMLTableRowElement>(null);
  const hasFocus = useRef(false);
  const setElement = useCallback(
    (row: HTMLTableRowElement | null) => {
      element.current = row;
      return measure?.(row);
    },
    [measure],
  );
  useLayoutEffect(() => {
    if (hasFocus.current && document.activeElement === document.body) element.current?.focus();
  });
  const focusHandlers = {
    onFocus: () => {
      hasFocus.current = true;
    },
    onBlur: ({ currentTarget, relatedTarget }: FocusEvent<HTMLElement>) => {
      hasFocus.current = currentTarget.contains(relatedTarget);
    },
  };
  return { setElement, focusHandlers };
}

/** Renders again when its own row or its place changes, not with the table. */
export const Row = memo(PlainRow) as typeof PlainRow;
