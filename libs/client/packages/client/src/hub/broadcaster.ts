/**
 * Sends what has arrived to all tabs: applies it to the views, and fills the frames of the outlets.
 *
 * A frame leaves at once when the last one was long enough ago, and otherwise when its time has come.
 * Start reading at `flush`.
 */

import type { StreamEvent } from "../source.js";
import { viewName } from "../topics.js";
import type { HubEnvironment } from "./environment.js";
import { FRAME_MS } from "./messages.js";
import { Outbox } from "./outbox.js";
import type { Header, Outlet } from "./outlets.js";
import type { Tabs } from "./tabs.js";
import type { ViewStore } from "./view-store.js";

export interface BroadcasterOptions {
  readonly environment: HubEnvironment;
  readonly tabs: Tabs;
  readonly views: ViewStore;
  header(): Header;
  /** The position of the stream. */
  position(): string;
  /** Whether a tab announced the events up to `position` while there was another hub. */
  isAnnounced(position: string): boolean;
}

export class Broadcaster {
  readonly #options: BroadcasterOptions;
  readonly #environment: HubEnvironment;
  readonly #outlets = new Map<string, Outlet>();
  readonly #batch = new Outbox();
  #lastPosition = "";
  #timer: unknown = null;
  #isFlushDue = false;
  #isClosed = false;

  constructor(options: BroadcasterOptions) {
    this.#options = options;
    this.#environment = options.environment;
  }

  /** The position up to which the tabs have everything. */
  get position(): string {
    return this.#lastPosition;
  }

  outletOf(tab: string): Outlet | undefined {
    return this.#outlets.get(this.#options.tabs.get(tab)?.outlet ?? "");
  }

  /** The stream begins, or begins again, after `position`. */
  beginAt(position: string): void {
    this.#lastPosition = position;
  }

  add(event: StreamEvent): void {
    this.#batch.add(event);
    this.schedule();
  }

  /** The tabs of an outlet have changed. */
  update(outlet: Outlet): void {
    const { tabs } = this.#options;
    const own = [...tabs.values()].filter((tab) => tab.outlet === outlet.key);
    if (own.length === 0) {
      this.#outlets.delete(outlet.key);
      return;
    }
    this.#outlets.set(outlet.key, outlet);
    outlet.topics = tabs.mergedWants(outlet.key);
    outlet.names = new Set(outlet.topics.map(viewName));
    outlet.isHidden = own.every((tab) => !tab.state.isVisible);
  }

  /** Flush soon: as soon as one of the outlets may send. */
  schedule(outlets = [...this.#outlets.values()]): void {
    if (this.#isFlushDue || this.#isClosed) return;
    const now = this.#environment.performance.now();
    const nextAt = Math.min(...outlets.map((outlet) => outlet.nextAt));
    const wait = nextAt === Infinity ? FRAME_MS : nextAt - now;
    if (wait > 0) {
      this.#timer ??= this.#environment.setTimeout(() => this.flush(), wait);
    } else {
      // The timers of hidden pages are slow. Events that arrive together are one frame.
      this.#isFlushDue = true;
      queueMicrotask(() => this.flush());
    }
  }

  /**
   * Apply what has arrived, and send every outlet what is due.
   *
   * @param isForced  send what is not due as well
   */
  flush(isForced = false): void {
    this.#environment.clearTimeout(this.#timer);
    this.#timer = null;
    this.#isFlushDue = false;
    if (this.#isClosed) return;
    const { views } = this.#options;
    const events = this.#takeBatch().map((event) => [event, views.namesOf(event)] as const);
    views.apply(events);
    const header = this.#options.header();
    const now = this.#environment.performance.now();
    const announcer = this.#announcer(header);
    for (const outlet of this.#outlets.values()) {
      for (const [event, names] of events) outlet.add(event, names);
      if ((isForced || outlet.nextAt <= now) && (!outlet.isEmpty || outlet.isOutdated(header))) {
        outlet.sendFrame(header, announcer, now);
      }
    }
    this.#sendViews(header, announcer, now);
    const waiting = [...this.#outlets.values()].filter((outlet) => !outlet.isEmpty);
    if (waiting.length > 0) this.schedule(waiting);
  }

  sendHeartbeats(): void {
    const now = this.#environment.performance.now();
    for (const outlet of this.#outlets.values())
      if (outlet.isHeartbeatDue(now)) this.sendHeartbeat(outlet);
  }

  /** Send a frame even if nothing waits. Its status is true of the events before it. */
  sendHeartbeat(outlet: Outlet): void {
    this.flush();
    const header = this.#options.header();
    outlet.sendFrame(header, this.#announcer(header), this.#environment.performance.now());
  }

  close(): void {
    this.#isClosed = true;
    this.#environment.clearTimeout(this.#timer);
  }

  #announcer({ position }: Header): string | null {
    return this.#options.isAnnounced(position) ? null : this.#options.tabs.announcer();
  }

  #takeBatch(): StreamEvent[] {
    const events = this.#batch.take();
    const position = this.#options.position();
    if (position !== "" && position !== this.#lastPosition) {
      this.#lastPosition = position;
      events.push({
        type: "checkpoint",
        data: null,
        id: position,
        receivedAt: this.#environment.now(),
      });
    }
    return events;
  }

  #sendViews(header: Header, announcer: string | null, now: number): void {
    const { tabs, views } = this.#options;
    // A tab keeps what it has until a view is complete.
    const isLive = header.status.name === "live";
    for (const tab of tabs.values()) {
      const found = [...tab.needs].flatMap((name) => {
        const view = views.get(name);
        const isReady = isLive || view?.phase === "complete";
        return view === undefined || !isReady ? [] : [[name, view] as const];
      });
      if (found.length === 0 && !tab.isWaiting) continue;
      tab.isWaiting = false;
      for (const [name] of found) tab.needs.delete(name);
      this.#outlets
        .get(tab.outlet)
        ?.sendViews(header, announcer, now, tab.state.tab, Object.fromEntries(found));
    }
  }
}
