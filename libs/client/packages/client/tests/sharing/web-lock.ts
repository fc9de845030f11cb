import type { Process } from "./process.js";

interface LockRequest {
  readonly process: Process;
  readonly hold: () => Promise<void>;
  readonly signal: AbortSignal | undefined;
  readonly steal: boolean;
}

interface Waiting extends LockRequest {
  resolve(): void;
  reject(error: Error): void;
}

type Schedule = (process: Process | null, delayMs: number, run: () => void) => void;

/** A Web Lock: a queue, a holder, and thieves. */
export class Lock {
  #holder: Waiting | null = null;
  #queue: Waiting[] = [];

  constructor(readonly schedule: Schedule) {}

  get isHeld(): boolean {
    return this.#holder !== null;
  }

  request(request: LockRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = { ...request, resolve, reject };
      this.schedule(null, 1, () => {
        if (request.process.isDead) return;
        if (request.steal) {
          this.#steal(waiting);
          return;
        }
        this.#queue.push(waiting);
        this.#next();
      });
      request.signal?.addEventListener("abort", () => {
        if (!this.#queue.includes(waiting)) return;
        this.#queue = this.#queue.filter((one) => one !== waiting);
        reject(new Error("aborted"));
      });
    });
  }

  drop(process: Process): void {
    this.#queue = this.#queue.filter((one) => one.process !== process);
    if (this.#holder?.process === process) this.#holder = null;
    this.#next();
  }

  #steal(thief: Waiting): void {
    const robbed = this.#holder;
    this.#holder = null;
    if (robbed !== null) {
      this.schedule(robbed.process, 1, () => robbed.reject(new Error("stolen")));
    }
    this.#grant(thief);
  }

  #next(): void {
    if (this.#holder !== null) return;
    const next = this.#queue.shift();
    if (next === undefined) return;
    if (next.signal?.aborted) this.#next();
    else this.#grant(next);
  }

  #grant(request: Waiting): void {
    this.#holder = request;
    this.schedule(request.process, 1, () => {
      void request.hold().then(() => {
        request.resolve();
        if (this.#holder !== request) return;
        this.#holder = null;
        this.#next();
      });
    });
  }
}
