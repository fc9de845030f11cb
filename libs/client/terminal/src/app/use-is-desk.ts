import { useSyncExternalStore } from "react";

/** Below this the page has one column and tabs; so has a desk at 200 % zoom. */
const DESK = "(min-width: 900px)";

const query = typeof matchMedia === "function" ? matchMedia(DESK) : null;

function subscribe(listener: () => void): () => void {
  query?.addEventListener("change", listener);
  return () => query?.removeEventListener("change", listener);
}

export function useIsDesk(): boolean {
  return useSyncExternalStore(subscribe, () => query?.matches ?? true);
}
