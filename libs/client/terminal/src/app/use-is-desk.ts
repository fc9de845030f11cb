import { useSyncExternalStore } from "react";

/** Below this the page has one column and tabs; so has a desk at 200 % zoom, or with text twice as large. */
const DESK = "(min-width: 56.25em)";

const query = typeof matchMedia === "function" ? matchMedia(DESK) : null;

function subscribe(listener: () => void): () => void {
  query?.addEventListener("change", listener);
  return () => query?.removeEventListener("change", listener);
}

export function useIsDesk(): boolean {
  return useSyncExternalStore(subscribe, () => query?.matches ?? true);
}
