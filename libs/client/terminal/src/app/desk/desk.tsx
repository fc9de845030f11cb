import type { SessionState } from "@tapewire/client";
import {
  type CSSProperties,
  type RefObject,
  useCallback,
  useEffect,
  useRef,
  useState,
} from "react";

import { EmptyState } from "../../components/empty-state.js";
import { findPanel } from "../../panels/registry.js";
import { PanelFrame } from "../panel-frame.js";
import { COLUMNS, type Layout, type LayoutAction } from "./layout.js";
import { PanelMenu } from "./panel-menu.js";
import { useDrag } from "./use-drag.js";

/** Rows that fit the height of the page at first. */
const PAGE_ROWS = 26;
const ROW_HEIGHT = { least: 26, most: 44 };
/** What is above and below the desk, until the desk is measured. */
const CHROME_HEIGHT = 116;

export interface DeskProps {
  readonly layout: Layout;
  readonly dispatch: (action: LayoutAction) => void;
  readonly onPreview: (layout: Layout) => void;
  readonly onReset: () => void;
  readonly session: SessionState;
  readonly onSignIn: () => void;
}

/** Panels in a grid: moved by their heads, resized at their corners, or both by the panel's menu. */
export function Desk({ layout, dispatch, onPreview, onReset, session, onSignIn }: DeskProps) {
  const desk = useRef<HTMLDivElement>(null);
  const { frame, rowHeight } = useRowHeight();
  useKeptFocus(desk, layout);
  const { handle } = useDrag({
    layout,
    cell: () => ({ width: (desk.current?.clientWidth ?? innerWidth) / COLUMNS, height: rowHeight }),
    onPreview,
    onDrop: () => dispatch({ type: "settle" }),
  });

  if (layout.length === 0) {
    return (
      <EmptyState
        title="All panels are closed"
        text="Open panels from the menu “Panels”."
        action={{ label: "Show the default panels", onPress: onReset }}
      />
    );
  }
  return (
    <div className="desk-frame" ref={frame}>
      <div
        className="desk"
        ref={desk}
        style={{ "--cell-height": `${rowHeight}px` } as CSSProperties}
      >
        {layout.map(({ id, x, y, width, height }) => {
          const panel = findPanel(id);
          if (!panel) return null;
          return (
            <PanelFrame
              key={id}
              panel={panel}
              session={session}
              onSignIn={onSignIn}
              actions={<PanelMenu panel={panel} dispatch={dispatch} />}
              headHandlers={handle(id, "move")}
              corner={<div className="panel-corner" aria-hidden="true" {...handle(id, "resize")} />}
              style={{
                gridColumn: `${x + 1} / span ${width}`,
                gridRow: `${y + 1} / span ${height}`,
              }}
            />
          );
        })}
      </div>
    </div>
  );
}

/** The height of rows that fills what the page leaves to the desk. */
function useRowHeight() {
  const [rowHeight, setRowHeight] = useState(() => rowHeightIn(innerHeight - CHROME_HEIGHT));
  const frame = useCallback((element: HTMLElement | null) => {
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => setRowHeight(rowHeightIn(element.clientHeight)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return { frame, rowHeight };
}

function rowHeightIn(height: number): number {
  return Math.min(Math.max(Math.floor(height / PAGE_ROWS), ROW_HEIGHT.least), ROW_HEIGHT.most);
}

/** The browser takes the focus from an element that moves within the document: give it back. */
function useKeptFocus(desk: RefObject<HTMLElement | null>, layout: Layout): void {
  const focused = useRef<Element | null>(null);
  useEffect(() => {
    const element = desk.current;
    const remember = (event: FocusEvent) => {
      focused.current = event.target as Element;
    };
    element?.addEventListener("focusin", remember);
    return () => element?.removeEventListener("focusin", remember);
  }, [desk]);
  const order = layout.map(({ id }) => id).join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the order is what moves the elements.
  useEffect(() => {
    const last = focused.current;
    if (document.activeElement === document.body && last instanceof HTMLElement && last.isConnected)
      last.focus({ preventScroll: true });
  }, [order]);
}
