/** How close rows are: a choice of the user, and more room where fingers press. */

import { useSyncExternalStore } from "react";

const ROW_HEIGHTS = { comfortable: 34, compact: 26, touch: 42 };
const USUAL_FONT_PIXELS = 16;
const CHANGED = "tapewire:density";

export type Density = "comfortable" | "compact";

/** Put the choice into effect for styles and tables. */
export function applyDensity(density: Density): void {
  document.documentElement.dataset.density = density;
  dispatchEvent(new Event(CHANGED));
}

/** The height of a row of one line, in pixels. */
export function useRowHeight(): number {
  return useSyncExternalStore(subscribe, rowHeight);
}

let knownScale: number | null = null;
if (typeof addEventListener === "function")
  addEventListener("resize", () => {
    knownScale = null;
  });

/** How large the user wants text to be: 1 for the usual size, for which sizes in pixels are. */
export function textScale(): number {
  if (knownScale === null) {
    const size = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    knownScale = size > 0 ? size / USUAL_FONT_PIXELS : 1;
  }
  return knownScale;
}

function subscribe(listener: () => void): () => void {
  addEventListener(CHANGED, listener);
  return () => removeEventListener(CHANGED, listener);
}

function rowHeight(): number {
  const isCompact = document.documentElement.dataset.density === "compact";
  const isTouch = matchMedia("(pointer: coarse)").matches;
  const name = isTouch ? "touch" : isCompact ? "compact" : "comfortable";
  return Math.round(ROW_HEIGHTS[name] * textScale());
}
