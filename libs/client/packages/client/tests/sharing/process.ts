/** A process of the browser in virtual time, and what it has to do. */

export interface Task {
  readonly at: number;
  readonly order: number;
  readonly process: Process | null;
  readonly run: () => void;
}

/** A renderer, or the process of a worker. */
export class Process {
  isFrozen = false;
  isDead = false;
  readonly waiting: Task[] = [];

  constructor(readonly name: string) {}
}
