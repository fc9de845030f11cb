/** A connection together with how far it is. `upstream.ts` uses one or two of them. */

import type { Connection } from "../tapewire.js";
import type { State, StreamContent, StreamEvent } from "../types.js";
import type { HubEnvironment } from "./environment.js";

export interface ConnectionRequest {
  readonly url: string;
  readonly topics: readonly string[];
  readonly user: string | null;
  readonly token: (() => Promise<string>) | undefined;
  readonly lastEventId: string;
  readonly polls: boolean;
}

export interface ConnectionListener {
  onEvent(connection: TrackedConnection, event: StreamEvent): void;
  onState(connection: TrackedConnection): void;
  onCaughtUp(connection: TrackedConnection): void;
}

export class TrackedConnection {
  /** The topics that it shows now, and shows again when it reconnects. */
  topics: readonly string[];
  state: State = { name: "connecting", tries: 0 };
  /** Epoch milliseconds. */
  stateSince: number;
  hasConnected = false;
  isCaughtUp = false;
  received = 0;
  /** Epoch milliseconds at which anything arrived that this class sees. */
  lastActiveAt: number;
  readonly #connection: Connection;
  #isClosed = false;

  constructor(
    request: ConnectionRequest,
    environment: HubEnvironment,
    listener: ConnectionListener,
  ) {
    const now = (): number => environment.now();
    this.topics = request.topics;
    this.stateSince = this.lastActiveAt = now();
    this.#connection = environment.connect(request.url, {
      user: request.user ?? undefined,
      token: request.token,
      lastEventId: request.lastEventId,
      polls: request.polls,
      fetch: environment.fetch,
      clock: environment,
      random: () => environment.random(),
      onEvent: (event) => {
        if (this.#isClosed) return;
        this.lastActiveAt = now();
        this.received += 1;
        this.hasConnected ||= event.type === "connected";
        listener.onEvent(this, event);
      },
      onState: (state) => {
        if (this.#isClosed) return;
        if (state.name !== "live") {
          this.hasConnected = this.isCaughtUp = false;
          this.received = 0;
        }
        this.stateSince = now();
        this.state = state;
        listener.onState(this);
      },
      onCaughtUp: () => {
        if (this.#isClosed) return;
        this.isCaughtUp = true;
        listener.onCaughtUp(this);
      },
    });
  }

  get lastEventId(): string {
    return this.#connection.lastEventId;
  }

  /** Whether the content of the open stream can be changed. */
  get canUpdate(): boolean {
    return (
      this.state.name === "live" &&
      this.state.isPolling !== true &&
      this.hasConnected &&
      this.isCaughtUp
    );
  }

  /** Whether it does not reconnect. */
  get isOver(): boolean {
    return this.state.name === "closed" || this.state.name === "signed-out";
  }

  update(topics: readonly string[]): Promise<StreamContent> {
    return this.#connection.update({ topics });
  }

  /** The caller has the events up to `id` from another connection. */
  skipTo(id: string): void {
    this.#connection.skipTo(id);
  }

  retryNow(): void {
    this.#connection.retryNow();
  }

  /** Close it; none of the listener's methods is called after this. */
  close(): void {
    this.#isClosed = true;
    this.#connection.close();
  }
}
