import {
  type FocusEvent,
  type RefObject,
  useCallback,
  useEffect,
  useLayoutEffect,
  useRef,
} from "react";

export interface RowFocusOptions {
  readonly scroller: RefObject<HTMLElement | null>;
  readonly scrollToIndex: (index: number) => void;
  readonly keys: readonly string[];
  /** The index of the row that has, or last had, the focus; -1 when it is gone. */
  readonly currentIndex: number;
  readonly setCurrentKey: (key: string) => void;
}

/** Frames to wait for a row that is being scrolled to. */
const MAX_FRAMES = 10;

/**
 * Moves the focus to rows that may not be in the document yet. When the row with the focus goes away,
 * as an order that was canceled does, the focus goes to the one that takes its place.
 */
export function useRowFocus({
  scroller,
  scrollToIndex,
  keys,
  currentIndex,
  setCurrentKey,
}: RowFocusOptions) {
  const hasFocus = useRef(false);
  const lastIndex = useRef(0);
  const newestKeys = useRef(keys);
  useLayoutEffect(() => {
    newestKeys.current = keys;
    if (currentIndex >= 0) lastIndex.current = currentIndex;
  });

  const focusRow = useCallback(
    (index: number) => {
      const key = newestKeys.current[index];
      if (key === undefined) return;
      setCurrentKey(key);
      scrollToIndex(index);
      const focus = (framesLeft: number) => {
        const row = scroller.current?.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`);
        if (row) row.focus({ preventScroll: true });
        else if (framesLeft > 0) requestAnimationFrame(() => focus(framesLeft - 1));
      };
      focus(MAX_FRAMES);
    },
    [scroller, scrollToIndex, setCurrentKey],
  );

  const isGone = currentIndex < 0;
  useEffect(() => {
    if (!isGone || !hasFocus.current || document.activeElement !== document.body) return;
    const last = newestKeys.current.length - 1;
    if (last >= 0) focusRow(Math.min(lastIndex.current, last));
    else scroller.current?.closest(".panel")?.querySelector<HTMLElement>(".panel-title")?.focus();
  }, [isGone, focusRow, scroller]);

  const focusHandlers = {
    onFocus: () => {
      hasFocus.current = true;
    },
    // React does not report the blur of an element that it removes.
    onBlur: ({ relatedTarget, currentTarget }: FocusEvent<HTMLElement>) => {
      hasFocus.current = currentTarget.contains(relatedTarget);
    },
  };
  return { focusRow, focusHandlers };
}
