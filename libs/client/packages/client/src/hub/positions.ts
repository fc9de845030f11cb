/** The order of positions of the stream: `{epoch}-{sequence}`. */

interface Position {
  readonly epoch: string;
  readonly sequence: bigint;
}

function parse(id: string): Position | null {
  const match = /^(.+)-([0-9]+)$/.exec(id);
  return match ? { epoch: match[1] ?? "", sequence: BigInt(match[2] ?? "") } : null;
}

/** Whether `id` is later than `other` in the same epoch. Every id is later than "". */
export function isLater(id: string, other: string): boolean {
  if (id === "" || other === "") return id !== "";
  const [one, two] = [parse(id), parse(other)];
  return one !== null && two !== null && one.epoch === two.epoch && one.sequence > two.sequence;
}

/** Whether two positions are of one epoch, so one of them is reached from the other. */
export function areComparable(id: string, other: string): boolean {
  const [one, two] = [parse(id), parse(other)];
  return one !== null && two !== null && one.epoch === two.epoch;
}
