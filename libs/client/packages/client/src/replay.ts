/**
 * The past of a user: events of a replay, folded by the views of the live stream.
 *
 * Views of every so many events are kept, so that any moment is a few events away. Start reading at
 * `EventReplay`.
 */

import type { Readable, Replay, ReplayMoment, ReplayOptions, ReplayStatus } from "./interfaces.js";
import type { StreamEvent, TopicView } from "./source.js";
import { Value } from "./stores/readable.js";
import type { connect, Token } from "./tapewire.js";
import { applyEvents, emptyView, viewName } from "./topics.js";
import type { StreamEvent as ReceivedEvent, State } from "./types.js";

/** A replay with more events is cut. */
export const MAX_EVENTS = 50_000;
/** Views are kept after each so many events. */
export const EVENTS_BETWEEN_VIEWS = 500;
/** How often the status changes while events arrive. */
const STATUS_INTERVAL_MS = 100;

const ALL_TOPICS = [
  "orders",
  "positions",
  "ai-decisions",
  "strategies",
  "alerts",
  "alert-rules",
  "notifications",
] as const;
/** Events about the stream itself. */
const CONTROL = new Set(["connected", "checkpoint", "stream:draining", "stream:updated"]);

export interface ReplayConnection {
  readonly connect: typeof connect;
  readonly baseUrl: string;
  readonly user: string | null;
  readonly token?: Token | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/** The answer to a client that returns for a replay which it has received. */
const HAS_ALL = 204;

type Views = ReadonlyMap<string, TopicView>;

/** A replay that loads itself. */
export class EventReplay implements Replay {
  readonly #topics: readonly string[];
  readonly #events: StreamEvent[] = [];
  readonly #times: number[] = [];
  /** The views after 0, 500, 1,000, … events, as far as they were asked for. */
  readonly #views: Views[] = [];
  #latest: { readonly count: number; readonly views: Views } | null = null;
  readonly #status = new Value<ReplayStatus>({ name: "loading", received: 0 });
  readonly #close: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  readonly status: Readable<ReplayStatus> = this.#status;

  constructor(connection: ReplayConnection, { topics, since, until }: ReplayOptions) {
    this.#topics = topics ?? ALL_TOPICS;
    const end = until ?? new Date().toISOString(); // without an end it would go on live
    const query = new URLSearchParams({ topics: this.#topics.join(","), since, until: end });
    const { user, token, fetch } = connection;
    const stream = connection.connect(`${connection.baseUrl}/api/stream?${query}`, {
      user: user ?? undefined,
      token,
      fetch,
      onEvent: (event) => this.#receive(event),
      onState: (state) => this.#onState(state),
    });
    this.#close = () => stream.close();
  }

  get times(): readonly number[] {
    return this.#times;
  }

  at(time: number): ReplayMoment {
    let [low, high] = [0, this.#times.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#times[middle] as number) <= time) low = middle + 1;
      else high = middle;
    }
    return this.after(low);
  }

  after(count: number): ReplayMoment {
    const known = Math.max(0, Math.min(Math.trunc(count), this.#events.length));
    const views = this.#viewsAfter(known);
    return {
      count: known,
      event: this.#events[known - 1] ?? null,
      time: this.#times[known - 1] ?? null,
      view: (topic) => (views.get(viewName(topic)) ?? emptyView(viewName(topic))).state as never,
    };
  }

  close(): void {
    this.#end({ name: "complete", received: this.#events.length, isCut: true });
  }

  #receive({ type, data, id }: ReceivedEvent): void {
    if (this.#status.get().name !== "loading" || CONTROL.has(type)) return;
    if (type === "replay:complete") {
      this.#finish({ isCut: false });
      return;
    }
    if (type === "stream:reset") {
      this.#fail(new Error("the journal does not have this time any more"));
      return;
    }
    if (id === null) return; // values of now
    if (this.#events.length >= MAX_EVENTS) {
      this.#finish({ isCut: true });
      return;
    }
    const time = timeOf(data);
    const last = this.#times.at(-1) ?? 0;
    this.#times.push(Number.isNaN(time) ? last : Math.max(time, last));
    this.#events.push({ type, data, id, receivedAt: time });
    this.#timer ??= setTimeout(this.#showProgress, STATUS_INTERVAL_MS);
  }

  readonly #showProgress = (): void => {
    this.#timer = undefined;
    this.#status.set({ name: "loading", received: this.#events.length });
  };

  #onState(state: State): void {
    if (state.name === "signed-out") this.#fail(new Error(state.reason));
    if (state.name !== "closed") return;
    // It was complete before the connection was lost.
    if (state.error?.statusCode === HAS_ALL) this.#finish({ isCut: false });
    else this.#fail(state.error ?? new Error(state.reason));
  }

  #finish({ isCut }: { isCut: boolean }): void {
    this.#end({ name: "complete", received: this.#events.length, isCut });
  }

  #fail(error: Error): void {
    this.#end({ name: "failed", received: this.#events.length, error });
  }

  /** Set the final status, of which the first counts, and close the connection. */
  #end(status: ReplayStatus): void {
    if (this.#status.get().name !== "loading") return;
    clearTimeout(this.#timer);
    this.#status.replace(status); // before the connection says that it is closed
    this.#close();
    this.#status.notify();
  }

  /** From the nearest views before it. */
  #viewsAfter(count: number): Views {
    const latest = this.#latest;
    if (latest?.count === count) return latest.views;
    const index = Math.min(Math.floor(count / EVENTS_BETWEEN_VIEWS), this.#views.length - 1);
    let from = Math.max(0, index) * EVENTS_BETWEEN_VIEWS;
    let views = this.#views[Math.max(0, index)] ?? this.#beginning();
    if (latest !== null && latest.count > from && latest.count < count) {
      [from, views] = [latest.count, latest.views];
    }
    while (from < count) {
      const next = Math.min(
        count,
        (Math.floor(from / EVENTS_BETWEEN_VIEWS) + 1) * EVENTS_BETWEEN_VIEWS,
      );
      const events = this.#events.slice(from, next);
      views = new Map([...views].map(([name, view]) => [name, applyEvents(name, view, events)]));
      from = next;
      if (next % EVENTS_BETWEEN_VIEWS === 0) this.#views[next / EVENTS_BETWEEN_VIEWS] = views;
    }
    this.#latest = { count, views };
    return views;
  }

  #beginning(): Views {
    const views = new Map(this.#topics.map(viewName).map((name) => [name, emptyView(name)]));
    this.#views[0] = views;
    return views;
  }
}

/** When an event happened, by its payload, in epoch milliseconds; NaN if that does not say. */
function timeOf(data: unknown): number {
  if (typeof data !== "object" || data === null) return Number.NaN;
  const { timestamp, created_at } = data as { timestamp?: unknown; created_at?: unknown };
  return Date.parse(String(timestamp ?? created_at));
}
