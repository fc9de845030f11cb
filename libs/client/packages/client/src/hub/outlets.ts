/**
 * How a hub reaches its tabs: numbered frames, conflated to what a screen shows.
 *
 * An outlet leads to one tab (a port) or to many (a channel of the leader). Each has its own numbers,
 * rate and outbox.
 */

import type { StreamEvent } from "../source.js";
import { includesTopic } from "./demand.js";
import {
  FRAME_MS,
  HEARTBEAT_MS,
  HIDDEN_FRAME_MS,
  type HubHeader,
  type HubMessage,
} from "./messages.js";
import { Outbox, quotedSymbol } from "./outbox.js";

export type Header = Omit<HubHeader, "outlet">;

export class Outlet {
  /** Merged and sorted: what its tabs want. */
  topics: readonly string[] = [];
  /** The names of the views of `topics`. */
  names: ReadonlySet<string> = new Set();
  isHidden = false;
  readonly #outbox = new Outbox();
  #number = 0;
  #sentAt = -Infinity;
  #said = "";

  constructor(
    readonly key: string,
    readonly send: (message: HubMessage) => void,
  ) {}

  /** @param names  of the views that the event concerns */
  add(event: StreamEvent, names: readonly string[]): void {
    if (!names.some((name) => this.names.has(name))) return;
    const symbol = quotedSymbol(event);
    // Streams of positions also send `price:stale`; the views that want it decide.
    if (symbol !== null && !includesTopic(this.topics, `prices:${symbol}`)) return;
    this.#outbox.add(event);
  }

  get isEmpty(): boolean {
    return this.#outbox.isEmpty;
  }

  /** From when on the next frame may be sent, by the monotonic clock. */
  get nextAt(): number {
    return this.#sentAt + (this.isHidden ? HIDDEN_FRAME_MS : FRAME_MS);
  }

  /** Whether the status or the user is another one than the last frame said. */
  isOutdated(header: Header): boolean {
    return JSON.stringify([header.status, header.user]) !== this.#said;
  }

  isHeartbeatDue(now: number): boolean {
    return now - this.#sentAt >= (this.isHidden ? HIDDEN_FRAME_MS : HEARTBEAT_MS) - 5;
  }

  /** Send what waits, or a heartbeat. */
  sendFrame(header: Header, announcer: string | null, now: number): void {
    this.#number += 1;
    this.#sentAt = now;
    this.#said = JSON.stringify([header.status, header.user]);
    const events = this.#outbox.take();
    this.send({
      ...header,
      kind: "frame",
      outlet: this.key,
      number: this.#number,
      events,
      announcer,
    });
  }

  /** Send views to one tab, with everything that waits before them. */
  sendViews(
    header: Header,
    announcer: string | null,
    now: number,
    tab: string,
    views: SentViews,
  ): void {
    if (!this.#outbox.isEmpty) this.sendFrame(header, announcer, now);
    this.send({ ...header, kind: "views", outlet: this.key, number: this.#number, tab, views });
  }
}

type SentViews = Extract<HubMessage, { kind: "views" }>["views"];
