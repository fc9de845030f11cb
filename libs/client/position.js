/**
 * Where a reader is in the log: ids are `{epoch}-{sequence}`, and only later ones are news.
 */

/**
 * @param {string} id
 * @returns {{epoch: string, sequence: bigint} | null} null: not an id of this form
 */
function parse(id) {
  const match = /^(.+)-([0-9]+)$/.exec(id);
  return match ? { epoch: match[1], sequence: BigInt(match[2]) } : null;
}

/**
 * Whether `id` tells anything that a reader at `position` has not seen.
 *
 * Ids of two epochs, or of unknown form, cannot be ordered: they count as news unless equal.
 *
 * @param {string} id
 * @param {string} position "" for a reader who has seen nothing
 * @returns {boolean}
 */
export function isNews(id, position) {
  if (position === "") return true;
  const next = parse(id);
  const seen = parse(position);
  if (next === null || seen === null || next.epoch !== seen.epoch) return id !== position;
  return next.sequence > seen.sequence;
}
