import {
  type KeyboardEvent,
  useCallback,
  useEffect,
  useEffectEvent,
  useMemo,
  useRef,
  useState,
} from "react";

import { textScale, useRowHeight } from "../density.js";
import { fittingColumns, targetIndex } from "./order.js";
import { Row } from "./row.js";
import { TableHead } from "./table-head.js";
import type { Column, DataTableProps } from "./types.js";
import { useRowFocus } from "./use-row-focus.js";
import { useSortedKeys } from "./use-sorted-keys.js";
import { useVirtualRows } from "./use-virtual-rows.js";

/** Rows from the end at which older ones are loaded. */
const END_DISTANCE = 10;
const HEAD_HEIGHT = 32;
const TALL_ROW_HEIGHT = 64;

/**
 * A table of any length. Only rows on the screen are in the document; screen readers get the whole
 * size by aria-rowcount and aria-rowindex.
 *
 * Keys: arrows, Home, End, Page Up and Page Down move the current row; Enter acts; arrow right goes to
 * the buttons of the row and arrow left back; Space selects. Headers sort, and the sort is remembered.
 */
export function DataTable<T>(props: DataTableProps<T>) {
  const {
    id,
    columns,
    rowKeys,
    onAction,
    onSelect,
    onRowKey,
    selectedKey = null,
    hasTallRows = false,
  } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const width = useWidth(scroller);
  const shown = useMemo(() => fittingColumns(columns, width / textScale()), [columns, width]);
  const { keys, sort, toggleSort } = useSortedKeys(props, scroller);
  const lineHeight = useRowHeight();
  const rowHeight = hasTallRows ? TALL_ROW_HEIGHT * textScale() : lineHeight;
  const [currentKey, setCurrentKey] = useState<string | null>(null);
  const currentIndex = currentKey === null ? -1 : keys.indexOf(currentKey);

  const visible = useVirtualRows({
    scroller,
    keys,
    rowHeight,
    headHeight: HEAD_HEIGHT * textScale(),
    keptIndex: currentIndex,
  });
  const { scrollToIndex } = visible;
  const { focusRow, focusHandlers } = useRowFocus({
    scroller,
    scrollToIndex,
    keys,
    currentIndex,
    setCurrentKey,
  });
  const selectedIndex = selectedKey === null ? -1 : keys.indexOf(selectedKey);
  const tabIndex = Math.max(0, currentIndex >= 0 ? currentIndex : selectedIndex);

  const lastIndex = visible.indexes.at(-1) ?? 0;
  const reachEnd = useEffectEvent(() => props.onEndReached?.());
  useEffect(() => {
    if (keys.length > 0 && lastIndex >= keys.length - END_DISTANCE) reachEnd();
  }, [lastIndex, keys.length]);

  /** Carry out a key on the row itself; false for a key without a meaning. */
  function actOnRow(key: string, event: KeyboardEvent<HTMLElement>): boolean {
    if (onRowKey?.(key, event)) return true;
    if (event.key !== "Enter" && event.key !== " ") return false;
    onSelect?.(key);
    if (event.key === "Enter") onAction?.(key);
    return true;
  }

  /** Go to another row, or to a button of the row; false for a key without a meaning. */
  function moveBy(key: string, event: KeyboardEvent<HTMLElement>): boolean {
    if (event.altKey || event.ctrlKey || event.metaKey) return false;
    if (event.key === "ArrowRight") return moveInRow(event.currentTarget, 1);
    if (event.key === "ArrowLeft") return moveInRow(event.currentTarget, -1);
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 0) / rowHeight) - 2);
    const target = targetIndex(event.key, keys.indexOf(key), keys.length, page);
    if (target !== null) focusRow(target);
    return target !== null;
  }

  const handleKey = useEventCallback((key: string, event: KeyboardEvent<HTMLElement>) => {
    const isOnRow = event.target === event.currentTarget;
    const isOnField = event.target instanceof HTMLInputElement && event.target.type === "text";
    const isDone = (isOnRow && actOnRow(key, event)) || (!isOnField && moveBy(key, event));
    if (isDone) event.preventDefault();
  });
  const press = useEventCallback((key: string) => onSelect?.(key));
  const doublePress = useEventCallback((key: string) => onAction?.(key));

  return (
    <div className="table-scroller" ref={scroller} {...focusHandlers}>
      <table
        role="grid"
        className="table"
        aria-labelledby={props.labelledBy}
        aria-label={props.label}
        aria-rowcount={(props.totalRows ?? rowKeys.length) + 1}
        aria-colcount={shown.length}
        data-table={id}
        data-lines={hasTallRows ? "many" : "one"}
        hidden={keys.length === 0}
        style={tableStyle(shown)}
      >
        <TableHead
          columns={shown}
          sort={sort}
          onSort={toggleSort}
          onLeave={() => focusRow(tabIndex)}
        />
        <tbody role="rowgroup" className="table-body" style={{ height: visible.height }}>
          {visible.indexes.map((index) => {
            const key = keys[index] ?? "";
            return (
              <Row
                key={key}
                rowKey={key}
                index={index}
                columns={shown}
                rows={props.rows}
                style={rowStyle(visible.offsets[index] ?? 0, hasTallRows ? undefined : rowHeight)}
                isCurrent={index === tabIndex}
                isSelected={key === selectedKey}
                isSelectable={onSelect !== undefined}
                rowAttributes={props.rowAttributes}
                measure={hasTallRows ? visible.measure : undefined}
                onFocusRow={setCurrentKey}
                onPress={press}
                onDoublePress={doublePress}
                onKey={handleKey}
              />
            );
          })}
        </tbody>
      </table>
      {keys.length === 0 && props.empty}
    </div>
  );
}

/** The columns as a grid that is at least as wide as they need; a narrower panel scrolls. */
function tableStyle<T>(columns: readonly Column<T>[]): React.CSSProperties {
  const tracks = columns.map(({ minWidth, grow = 1 }) =>
    grow === 0 ? inRems(minWidth) : `minmax(${inRems(minWidth)}, ${grow}fr)`,
  );
  const least = columns.reduce((sum, { minWidth }) => sum + minWidth, 0);
  return { "--columns": tracks.join(" "), minWidth: inRems(least) } as React.CSSProperties;
}

function inRems(pixels: number): string {
  return `${pixels / 16}rem`;
}

const styles = new Map<string, React.CSSProperties>();

/** The same object for the same place, so that a row does not render again when others move. */
function rowStyle(start: number, height: number | undefined): React.CSSProperties {
  const name = `${start}/${height}`;
  let style = styles.get(name);
  if (!style) {
    if (styles.size > 20_000) styles.clear();
    style = {
      transform: `translateY(${start}px)`,
      ...(height === undefined ? undefined : { height }),
    };
    styles.set(name, style);
  }
  return style;
}

/** Move the focus among the row and its buttons. */
function moveInRow(row: HTMLElement, step: 1 | -1): boolean {
  const stops = [
    row,
    ...row.querySelectorAll<HTMLElement>("button:not(:disabled), a[href], input:not(:disabled)"),
  ];
  const next = stops[stops.indexOf(document.activeElement as HTMLElement) + step];
  next?.focus();
  return next !== undefined;
}

function useWidth(ref: React.RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(Infinity);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) =>
      setWidth(entry?.contentRect.width ?? Infinity),
    );
    if (ref.current) observer.observe(ref.current);
    return () => observer.disconnect();
  }, [ref]);
  return width;
}

/** A stable function that calls the newest `callback`. */
function useEventCallback<A extends unknown[]>(
  callback: (...args: A) => unknown,
): (...args: A) => void {
  const newest = useRef(callback);
  useEffect(() => {
    newest.current = callback;
  });
  return useCallback((...args: A) => void newest.current(...args), []);
}
