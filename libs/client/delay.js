/**
 * How long to wait before the next try: pure, so that every rule is a line in a test.
 *
 * A clean end waits exactly the server's `retry:` (a draining server spreads its clients with it).
 * A failure waits at least that long, doubling, with jitter. `Retry-After` is never undercut.
 */

/** Until the server says otherwise, in milliseconds. */
export const DEFAULT_RETRY_MS = 3_000;
/** A `retry:` outside these bounds is taken for the nearer one: no hot loop, no lost client. */
export const MIN_RETRY_MS = 100;
export const MAX_RETRY_MS = 600_000;
/** Failures double the delay up to here; with jitter 30 s pass at most between two tries. */
export const MAX_GROWN_MS = 20_000;
/** Up to this share is added at random, so that clients cut off together come back apart. */
export const JITTER = 0.5;
/** A `Retry-After` beyond this is taken for a mistake. */
export const MAX_RETRY_AFTER_MS = 600_000;

/**
 * @typedef {object} Pause
 * @property {"ended" | "failed"} kind  a clean end, or anything else
 * @property {number} failures          failures in a row, this one included; from 0
 * @property {number} retryMs           the server's `retry:`
 * @property {number | null} retryAfterMs
 * @property {number} random            in [0, 1)
 */

/**
 * @param {Pause} pause
 * @returns {number} milliseconds, a whole number
 */
export function delayBefore({ kind, failures, retryMs, retryAfterMs, random }) {
  const base = Math.min(Math.max(retryMs, MIN_RETRY_MS), MAX_RETRY_MS);
  if (kind === "ended") return base;
  const doubled = base * 2 ** Math.min(Math.max(failures - 1, 0), 30);
  const grown = Math.max(base, Math.min(doubled, MAX_GROWN_MS), retryAfterMs ?? 0);
  return Math.round(grown * (1 + JITTER * random));
}

/**
 * The `Retry-After` header (RFC 9110, 10.2.3): seconds or a date.
 *
 * @param {string | null} value
 * @param {number} now  milliseconds since 1970
 * @returns {number | null} milliseconds; null when absent or unreadable
 */
export function retryAfterMs(value, now) {
  if (value === null || value.trim() === "") return null;
  const wait = /^\s*[0-9]+\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isNaN(wait) ? null : Math.min(Math.max(wait, 0), MAX_RETRY_AFTER_MS);
}
