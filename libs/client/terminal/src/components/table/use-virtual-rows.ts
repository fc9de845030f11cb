/**
 * Which rows are in the document: those in view, some more, and the one with the focus.
 *
 * Rows have one height, or are measured. The component renders when the range changes, not with every
 * scroll event.
 */

import {
  type RefObject,
  useCallback,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "react";

import { indexesOf, rowOffsets, rowsInView } from "./row-offsets.js";

const OVERSCAN = 6;
/** Until the table has been measured. */
const FIRST_HEIGHT = 600;

export interface VirtualRowsOptions {
  readonly scroller: RefObject<HTMLElement | null>;
  readonly keys: readonly string[];
  readonly rowHeight: number;
  /** The head is above the rows and covers as much of them when they scroll. */
  readonly headHeight: number;
  /** A row that stays in the document wherever the table is scrolled to; -1 for none. */
  readonly keptIndex: number;
}

export function useVirtualRows(options: VirtualRowsOptions) {
  const { scroller, keys, rowHeight, headHeight, keptIndex } = options;
  const { heights, version, measure } = useMeasuredHeights(scroller);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the version is that of the heights.
  const offsets = useMemo(
    () => rowOffsets(keys, heights, rowHeight),
    [keys, heights, rowHeight, version],
  );
  const [range, setRange] = useState(() => rowsInView(offsets, 0, FIRST_HEIGHT, OVERSCAN));
  const newest = useRef(offsets);

  const update = useCallback(() => {
    const element = scroller.current;
    if (element === null) return;
    const height = element.clientHeight || FIRST_HEIGHT;
    const next = rowsInView(newest.current, element.scrollTop, height, OVERSCAN);
    setRange((previous) =>
      previous.first === next.first && previous.end === next.end ? previous : next,
    );
  }, [scroller]);

  useLayoutEffect(() => {
    newest.current = offsets;
    update();
  }, [offsets, update]);

  useEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const observer = new ResizeObserver(update);
    observer.observe(element);
    element.addEventListener("scroll", update, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", update);
    };
  }, [scroller, update]);

  const scrollToIndex = useCallback(
    (index: number) => {
      const element = scroller.current;
      const [start = 0, end = 0] = newest.current.slice(index, index + 2);
      if (element === null) return;
      const hidden = end - (element.scrollTop + element.clientHeight - headHeight);
      if (start < element.scrollTop) element.scrollTop = start;
      else if (hidden > 0) element.scrollTop += hidden;
      update();
    },
    [scroller, headHeight, update],
  );

  const end = Math.min(range.end, keys.length);
  const indexes = indexesOf({ first: Math.min(range.first, end), end }, keptIndex);
  return { indexes, offsets, height: offsets.at(-1) ?? 0, measure, scrollToIndex };
}

/** The heights of rows that were on the screen, by key. */
function useMeasuredHeights(scroller: RefObject<HTMLElement | null>) {
  const [heights] = useState(() => new Map<string, number>());
  const [version, setVersion] = useState(0);
  const observer = useRef<ResizeObserver | null>(null);
  useEffect(() => () => observer.current?.disconnect(), []);

  /** The `ref` of a row with the attribute `data-key`. */
  const measure = useCallback(
    (row: HTMLElement | null) => {
      if (row === null) return;
      observer.current ??= new ResizeObserver((entries) => {
        let isChanged = false;
        for (const { target } of entries) {
          const { key } = (target as HTMLElement).dataset;
          const { height } = target.getBoundingClientRect();
          if (key === undefined || height === 0 || heights.get(key) === height) continue;
          heights.set(key, height);
          isChanged = true;
        }
        if (isChanged && scroller.current !== null) setVersion((previous) => previous + 1);
      });
      const current = observer.current;
      current.observe(row);
      return () => current.unobserve(row);
    },
    [heights, scroller],
  );
  return { heights, version, measure };
}
