/**
 * Delays before the next try, as pure functions.
 *
 * After a clean end the delay is exactly the server's `retry:`, by which a draining server spreads
 * its clients. After a failure it is at least that, doubles with each failure, and has jitter. It is
 * never below `Retry-After`.
 */

/** The delay before the server sends a `retry:`, in milliseconds. */
export const DEFAULT_RETRY_MS = 3_000;
/** A `retry:` is limited to these bounds, which avoids busy loops and clients that never return. */
export const MIN_RETRY_MS = 100;
export const MAX_RETRY_MS = 600_000;
/** Failures double the delay up to this; with jitter at most 30 s pass between two tries. */
export const MAX_GROWN_MS = 20_000;
/** A random share of up to this is added, which spreads clients that were cut off together. */
export const JITTER = 0.5;
/** A `Retry-After` is limited to this. */
export const MAX_RETRY_AFTER_MS = 600_000;

export interface BackoffInput {
  /** A clean end, or a failure. */
  readonly kind: "ended" | "failed";
  /** Failures in a row, including this one. */
  readonly failures: number;
  /** The server's `retry:`. */
  readonly retryMs: number;
  readonly retryAfterMs: number | null;
  /** In [0, 1). */
  readonly random: number;
}

/** The delay in milliseconds, a whole number. */
export function delayBefore({
  kind,
  failures,
  retryMs,
  retryAfterMs,
  random,
}: BackoffInput): number {
  const base = Math.min(Math.max(retryMs, MIN_RETRY_MS), MAX_RETRY_MS);
  if (kind === "ended") return base;
  const doubled = base * 2 ** Math.min(Math.max(failures - 1, 0), 30);
  const grown = Math.max(base, Math.min(doubled, MAX_GROWN_MS), retryAfterMs ?? 0);
  return Math.round(grown * (1 + JITTER * random));
}

/**
 * The `Retry-After` header (RFC 9110, 10.2.3): seconds or a date.
 *
 * @param now  milliseconds since 1970
 * @returns milliseconds; null when it is absent or malformed
 */
export function retryAfterMs(value: string | null, now: number): number | null {
  if (value === null || value.trim() === "") return null;
  const wait = /^\s*[0-9]+\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isNaN(wait) ? null : Math.min(Math.max(wait, 0), MAX_RETRY_AFTER_MS);
}
