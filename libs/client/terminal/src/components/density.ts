/** How close rows are: a choice of the user, and more room where fingers press. */

import { useSyncExternalStore } from "react";

const ROW_HEIGHTS = { comfortable: 34, compact: 26, touch: 42 };
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

function subscribe(listener: () => void): () => void {
  addEventListener(CHANGED, listener);
  return () => removeEventListener(CHANGED, listener);
}

function rowHeight(): number {
  if (matchMedia("(pointer: coarse)").matches) return ROW_HEIGHTS.touch;
  const isCompact = document.documentElement.dataset.density === "compact";
  return isCompact ? ROW_HEIGHTS.compact : ROW_HEIGHTS.comfortable;
}
