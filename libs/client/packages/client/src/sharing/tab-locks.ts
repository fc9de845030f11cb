/**
 * The lock that each tab holds while its page lives, by which hubs count tabs and notice their end.
 *
 * A hub that waits for a lock and stands still gets it and never releases it. Therefore a page that
 * comes back takes a lock of another name.
 */

import type { Locks } from "./environment.js";

function lockName(scope: string, presence: string): string {
  return `${scope} tab ${presence}`;
}

/**
 * Hold the lock of a tab until the result is called.
 *
 * @param onHeld  called when the lock is held, unless the result was called before
 */
export function holdTabLock(
  locks: Locks,
  scope: string,
  presence: string,
  onHeld: () => void,
): () => void {
  let isReleased = false;
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const hold = (): Promise<void> => {
    if (!isReleased) onHeld();
    return released;
  };
  locks.request(lockName(scope, presence), {}, hold).catch(() => {
    // The page ends.
  });
  return () => {
    isReleased = true;
    release();
  };
}

/** The number of tabs that are there; null where it is unknown. */
export async function countTabs(locks: Locks | null, scope: string): Promise<number | null> {
  const held = await locks?.held();
  return held?.filter((name) => name.startsWith(lockName(scope, ""))).length ?? null;
}

/** Fulfilled when the tab has ended; never where there are no locks. */
export async function waitForEnd(
  locks: Locks | null,
  scope: string,
  presence: string,
): Promise<void> {
  if (locks === null) return new Promise(() => {});
  await locks.request(lockName(scope, presence), {}, () => Promise.resolve());
}
