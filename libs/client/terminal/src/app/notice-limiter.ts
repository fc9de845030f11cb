/** Notices of the system that are shown one by one within `WINDOW_MS`. */
export const MAX_NOTICES = 3;
export const WINDOW_MS = 10_000;

/**
 * Keeps the night's notifications from appearing all at once: after a few of them, the others are
 * counted in one. Pure but for its memory.
 */
export class NoticeLimiter {
  #windowEndsAt = 0;
  #shown = 0;

  /** @returns how many notices of this window are too much, with this one; 0: show this one itself */
  take(now: number): number {
    if (now >= this.#windowEndsAt) this.#shown = 0;
    this.#windowEndsAt = now + WINDOW_MS;
    this.#shown += 1;
    return Math.max(0, this.#shown - MAX_NOTICES);
  }
}

/** A strategy's notifications of one group become one message of the page within this time. */
export const ROUTINE_MS = 60_000;

/** Keeps a busy strategy from filling the page with messages, and a screen reader's time: the inbox counts the others. */
export class RoutineLimiter {
  readonly #shownAt = new Map<string, number>();

  /** Whether to show one of the group now. */
  take(group: string, now: number): boolean {
    if (now < (this.#shownAt.get(group) ?? -Infinity) + ROUTINE_MS) return false;
    this.#shownAt.set(group, now);
    return true;
  }
}
