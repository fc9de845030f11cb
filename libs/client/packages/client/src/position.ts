/**
 * Positions in the log: event ids are `{epoch}-{sequence}`.
 */

/** The parts of an id; null for one of another form. */
function parseEventId(id: string): { epoch: string; sequence: bigint } | null {
  const [, epoch, sequence] = /^(.+)-([0-9]+)$/.exec(id) ?? [];
  return epoch === undefined || sequence === undefined
    ? null
    : { epoch, sequence: BigInt(sequence) };
}

/**
 * Whether the event `id` is new to a reader at `position`.
 *
 * Ids of two epochs, or of another form, have no order: they count as new unless they are equal.
 *
 * @param position  the last id that the reader has, or ""
 */
export function isNews(id: string, position: string): boolean {
  if (position === "") return true;
  const next = parseEventId(id);
  const seen = parseEventId(position);
  if (next === null || seen === null || next.epoch !== seen.epoch) return id !== position;
  return next.sequence > seen.sequence;
}
