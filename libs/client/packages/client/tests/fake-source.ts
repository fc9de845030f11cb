/** A source whose events a test sends, with real views. */

import type { Readable, Unsubscribe } from "../src/interfaces.js";
import type { StreamEvent, TopicChange, TopicSource, TopicView } from "../src/source.js";
import { Value } from "../src/stores/readable.js";
import { applyEvents, dependsOnUser, emptyView, viewName } from "../src/topics.js";

export class FakeSource implements TopicSource {
  readonly user: Value<string | null>;
  readonly isCurrent = new Value(true);
  announces = false;
  offers = 0;
  readonly #views = new Map<string, TopicView>();
  readonly #listeners = new Map<string, Set<(change: TopicChange) => void>>();

  constructor(user: string | null = "alice") {
    this.user = new Value(user);
  }

  /** The topics that are asked for now. */
  get topics(): string[] {
    return [...this.#listeners.keys()].sort();
  }

  subscribe = (topic: string, listener: (change: TopicChange) => void): Unsubscribe => {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(topic);
    };
  };

  view = (topic: string): TopicView => {
    const name = viewName(topic);
    let view = this.#views.get(name);
    if (view === undefined) {
      view = emptyView(name);
      this.#views.set(name, view);
    }
    return view;
  };

  offerToAnnounce = (): Unsubscribe => {
    this.offers += 1;
    return () => {
      this.offers -= 1;
    };
  };

  /** Events of the connection, in one frame, to the views of what is asked for. */
  send(...events: StreamEvent[]): void {
    const names = new Set([...this.#listeners.keys()].map(viewName));
    for (const name of names) {
      const view = applyEvents(name, this.view(name), events);
      if (view === this.view(name)) continue;
      this.#views.set(name, view);
      this.#notify(name, { view, events, announces: this.announces });
    }
  }

  /** Another user signs in: everything that depends on the user is gone. */
  signIn(user: string | null): void {
    const names = [...this.#views.keys()].filter(dependsOnUser);
    for (const name of names) this.#views.set(name, emptyView(name));
    this.user.set(user);
    for (const name of names)
      this.#notify(name, { view: this.view(name), events: null, announces: false });
  }

  /** The view comes from another hub. */
  replace(name: string, view: TopicView): void {
    this.#views.set(name, view);
    this.#notify(name, { view, events: null, announces: false });
  }

  #notify(name: string, change: TopicChange): void {
    for (const [topic, listeners] of this.#listeners) {
      if (viewName(topic) === name) for (const listener of [...listeners]) listener(change);
    }
  }
}

export interface FakeCall {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly options: unknown;
  answer(value: unknown): void;
  fail(error: Error): void;
}

/** Calls that a test answers. */
export class FakeCalls {
  readonly made: FakeCall[] = [];
  /** Answers calls at once, if it returns anything. */
  respond: (method: string, path: string, body: unknown) => unknown = () => undefined;

  call = <T>(method: string, path: string, body?: unknown, options?: unknown): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      this.made.push({
        method,
        path,
        body,
        options,
        answer: (value) => resolve(value as T),
        fail: reject,
      });
      const answer = this.respond(method, path, body);
      if (answer instanceof Error) reject(answer);
      else if (answer !== undefined) resolve(answer as T);
    });

  /** The call made at `index`. */
  at(index: number): FakeCall {
    const call = this.made[index];
    if (call === undefined) throw new Error(`there are ${this.made.length} calls`);
    return call;
  }

  get paths(): string[] {
    return this.made.map(({ method, path }) => `${method} ${path}`);
  }
}

/** Counts the calls of a listener. */
export function counter(): { (): void; count: number } {
  const count = (): void => {
    count.count += 1;
  };
  count.count = 0;
  return count;
}

export function listen(...values: Readable<unknown>[]): Unsubscribe {
  const stops = values.map((value) => value.subscribe(() => {}));
  return () => {
    for (const stop of stops) stop();
  };
}
