/**
 * Positions in the log: event ids are `{epoch}-{sequence}`.
 */

/**
 * @param {string} id
 * @returns {{epoch: string, sequence: bigint} | null} null: another form
 */
function parseEventId(id) {
  const match = /^(.+)-([0-9]+)$/.exec(id);
  return match ? { epoch: match[1], sequence: BigInt(match[2]) } : null;
}

/**
 * Whether the event `id` is new to a reader at `position`.
 *
 * Ids of two epochs, or of another form, have no order: they count as new unless they are equal.
 *
 * @param {string} id
 * @param {string} position the last id that the reader has, or ""
 * @returns {boolean}
 */
export function isNews(id, position) {
  if (position === "") return true;
  const next = parseEventId(id);
  const seen = parseEventId(position);
  if (next === null || seen === null || next.epoch !== seen.epoch) return id !== position;
  return next.sequence > seen.sequence;
}
