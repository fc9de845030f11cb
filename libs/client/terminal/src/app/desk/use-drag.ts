import { type PointerEvent, useRef } from "react";

import type { PanelId } from "../../panels/registry.js";
import { type Layout, type PlacedPanel, reduceLayout } from "./layout.js";

interface Drag {
  readonly pointerId: number;
  readonly panel: PlacedPanel;
  readonly before: Layout;
  readonly x: number;
  readonly y: number;
  readonly kind: "move" | "resize";
}

export interface DragOptions {
  readonly layout: Layout;
  /** The size of a cell in pixels. */
  readonly cell: () => { width: number; height: number };
  readonly onPreview: (layout: Layout) => void;
  readonly onDrop: () => void;
}

/** Moves and resizes panels with the pointer. Escape, or losing the pointer, takes it back. */
export function useDrag({ layout, cell, onPreview, onDrop }: DragOptions) {
  const drag = useRef<Drag | null>(null);

  function begin(id: PanelId, kind: Drag["kind"], event: PointerEvent<HTMLElement>) {
    const panel = layout.find((candidate) => candidate.id === id);
    const isControl =
      (event.target as Element).closest("button, a, input, select, [popover]") !== null;
    if (!panel || event.button !== 0 || isControl) return;
    event.preventDefault();
    const element = event.currentTarget;
    element.setPointerCapture(event.pointerId);
    drag.current = {
      pointerId: event.pointerId,
      panel,
      before: layout,
      x: event.clientX,
      y: event.clientY,
      kind,
    };
    const cancelOnEscape = (key: KeyboardEvent) => {
      if (key.key !== "Escape") return;
      key.stopPropagation();
      cancel();
    };
    addEventListener("keydown", cancelOnEscape, { capture: true });
    element.addEventListener(
      "lostpointercapture",
      () => removeEventListener("keydown", cancelOnEscape, { capture: true }),
      { once: true },
    );
  }

  function move(event: PointerEvent<HTMLElement>) {
    const current = drag.current;
    if (current?.pointerId !== event.pointerId) return;
    const { width, height } = cell();
    const [columns, rows] = [
      Math.round((event.clientX - current.x) / width),
      Math.round((event.clientY - current.y) / height),
    ];
    const { panel } = current;
    const place =
      current.kind === "move"
        ? { ...panel, x: panel.x + columns, y: panel.y + rows }
        : { ...panel, width: panel.width + columns, height: panel.height + rows };
    onPreview(reduceLayout(current.before, { type: "place", id: panel.id, place }));
  }

  function end(event: PointerEvent<HTMLElement>) {
    if (drag.current?.pointerId !== event.pointerId) return;
    drag.current = null;
    onDrop();
  }

  function cancel() {
    if (drag.current === null) return;
    onPreview(drag.current.before);
    drag.current = null;
  }

  /** The handlers of an element that drags the panel. */
  const handle = (id: PanelId, kind: Drag["kind"]) => ({
    onPointerDown: (event: PointerEvent<HTMLElement>) => begin(id, kind, event),
    onPointerMove: move,
    onPointerUp: end,
    onPointerCancel: cancel,
  });
  return { handle };
}
