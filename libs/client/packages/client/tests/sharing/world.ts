/**
 * A browser in virtual time: processes with task queues, locks, channels, ports and workers.
 *
 * It does to pages what browsers do. A process can stand still while its messages and timers wait, or
 * end at once; messages keep their order for each sender only, and may be lost; a lock of a process
 * that stands still can be stolen. The machine can sleep, and its clock goes on meanwhile.
 */

import type { Locks, MessageLink, PageEvent } from "../../src/sharing/environment.js";
import { Process, type Task } from "./process.js";
import { Lock } from "./web-lock.js";

/** A repeatable sequence of numbers in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** More tasks than this within one step are a loop. */
const MAX_TASKS = 50_000;

export class World {
  /** Milliseconds that the machine was awake. */
  awakeMs = 0;
  /** What the clock gained while the machine slept. */
  sleptMs = 0;
  lossRate = 0;
  /** Called after each task. */
  afterTask: (process: Process | null) => void = () => {};
  readonly #tasks: Task[] = [];
  #order = 0;
  readonly #channels = new Map<
    string,
    Set<{ process: Process; onMessage: (message: unknown) => void }>
  >();
  readonly #locks = new Map<string, Lock>();
  readonly #workers = new Map<string, { process: Process; onConnect: OnConnect }>();
  readonly shared = new Map<string, string>();

  constructor(readonly random: () => number) {}

  now(): number {
    return 1_800_000_000_000 + this.awakeMs + this.sleptMs;
  }

  schedule(process: Process | null, delayMs: number, run: () => void): Task {
    const task = { at: this.awakeMs + delayMs, order: this.#order++, process, run };
    this.#insert(task);
    return task;
  }

  cancel(task: Task): void {
    for (const list of [this.#tasks, task.process?.waiting ?? []]) {
      const index = list.indexOf(task);
      if (index >= 0) list.splice(index, 1);
    }
  }

  async advance(milliseconds: number): Promise<void> {
    const until = this.awakeMs + milliseconds;
    for (let count = 0; ; count += 1) {
      if (count > MAX_TASKS) throw new Error(`${MAX_TASKS} tasks within ${milliseconds} ms`);
      const task = this.#tasks[0];
      if (task === undefined || task.at > until) break;
      this.#tasks.shift();
      this.awakeMs = Math.max(this.awakeMs, task.at);
      const { process } = task;
      if (process?.isDead) continue;
      if (process?.isFrozen) {
        process.waiting.push(task);
        continue;
      }
      task.run();
      await settle();
      this.afterTask(process);
    }
    this.awakeMs = until;
  }

  freeze(process: Process): void {
    process.isFrozen = true;
  }

  thaw(process: Process): void {
    process.isFrozen = false;
    for (const task of process.waiting.splice(0)) this.#insert({ ...task, at: this.awakeMs });
  }

  kill(process: Process): void {
    process.isDead = true;
    for (const lock of this.#locks.values()) lock.drop(process);
    for (const [name, worker] of this.#workers)
      if (worker.process === process) this.#workers.delete(name);
  }

  /** Between two processes, in order. Ports lose nothing; channels do for pages in the cache. */
  link(
    from: Process,
    to: Process,
    receive: (message: unknown) => void,
    canLose = false,
  ): (message: unknown) => void {
    let lastAt = 0;
    return (message) => {
      if (from.isDead || (canLose && this.random() < this.lossRate)) return;
      const copy = structuredClone(message);
      lastAt = Math.max(lastAt, this.awakeMs + 1 + this.random() * 4);
      this.schedule(to, lastAt - this.awakeMs, () => receive(copy));
    };
  }

  openChannel(process: Process, name: string, onMessage: (message: unknown) => void): MessageLink {
    const members = this.#channels.get(name) ?? new Set();
    this.#channels.set(name, members);
    const own = { process, onMessage };
    members.add(own);
    const links = new Map<object, (message: unknown) => void>();
    return {
      post: (message) => {
        for (const member of members) {
          if (member === own || member.process.isDead) continue;
          const send =
            links.get(member) ??
            this.link(
              process,
              member.process,
              (copy) => members.has(member) && member.onMessage(copy),
              true,
            );
          links.set(member, send);
          send(message);
        }
      },
      close: () => void members.delete(own),
    };
  }

  locksOf(process: Process): Locks {
    return {
      request: (name, { steal = false, signal }, hold) => {
        const lock = this.#locks.get(name) ?? new Lock((...task) => this.schedule(...task));
        this.#locks.set(name, lock);
        return lock.request({ process, hold, signal, steal });
      },
      held: () =>
        new Promise((resolve) => {
          this.schedule(process, 1, () => {
            resolve([...this.#locks].filter(([, lock]) => lock.isHeld).map(([name]) => name));
          });
        }),
    };
  }

  openWorker(
    tab: Process,
    name: string,
    start: (process: Process) => OnConnect,
    onMessage: (message: unknown) => void,
  ): MessageLink {
    let worker = this.#workers.get(name);
    if (worker === undefined) {
      const process = new Process(name);
      worker = { process, onConnect: start(process) };
      this.#workers.set(name, worker);
    }
    const { process, onConnect } = worker;
    let isClosed = false;
    const receive = onConnect(
      this.link(process, tab, (message) => {
        if (!isClosed) onMessage(message);
      }),
    );
    const send = this.link(tab, process, receive);
    return {
      post: (message) => {
        if (!isClosed) send(message);
      },
      close: () => {
        isClosed = true;
      },
    };
  }

  workers(): Process[] {
    return [...this.#workers.values()].map((worker) => worker.process);
  }

  #insert(task: Task): void {
    let low = 0;
    let high = this.#tasks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#tasks[middle] as Task;
      if (other.at < task.at || (other.at === task.at && other.order < task.order))
        low = middle + 1;
      else high = middle;
    }
    this.#tasks.splice(low, 0, task);
  }
}

export type OnConnect = (post: (message: unknown) => void) => (message: unknown) => void;

/** Wait until all promises have settled that need no time. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 12; turn += 1) await Promise.resolve();
}

/** The events of a page's life. */
export class PageEvents {
  readonly #listeners = new Set<(event: PageEvent) => void>();

  add(listener: (event: PageEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  emit(event: PageEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}
