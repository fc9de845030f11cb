/**
 * The one stream of a hub: it shows the topics that are wanted, without losing events on the way.
 *
 * A stream that is live is changed by `PATCH`. One that is not continues with its old topics after
 * the position that it has reached, and is changed afterwards, because a stream that resumes sends no
 * snapshot of what is new to it. When the stream is silent, or the machine has slept, a
 * second connection is opened beside it, and takes over with its first event: a silent stream
 * that speaks again has lost nothing. Start reading at `#synchronize`.
 */

import type { ConnectionStatus } from "../interfaces.js";
import { ApiError } from "../rest.js";
import type { State, StreamEvent } from "../types.js";
import { statusOf } from "./connection-status.js";
import type { HubEnvironment } from "./environment.js";
import { isLater } from "./positions.js";
import { TrackedConnection } from "./tracked-connection.js";

/** A second connection is opened when the stream has been silent for so much longer than it should. */
export const REPLACE_SILENT_MS = 2_000;
/** The second connection is given up and opened anew after this time without an event. */
export const REPLACEMENT_TIMEOUT_MS = 5_000;
/** A change of topics that failed is tried again after this time. */
export const UPDATE_RETRY_MS = 1_000;

export interface UpstreamOptions {
  readonly baseUrl: string;
  readonly environment: HubEnvironment;
  /** null: only public topics. */
  readonly user: string | null;
  readonly token: (() => Promise<string>) | undefined;
  onEvent(event: StreamEvent): void;
  /** The status may be another one. */
  onStatus(): void;
  /** The stream begins to show these topics as well, after its present position. */
  onAdding(topics: readonly string[]): void;
  /** The stream shows these topics, and no others. */
  onShown(topics: readonly string[]): void;
  /** The stream begins anew with snapshots of these topics. Events in between may be missing. */
  onRestart(topics: readonly string[]): void;
}

export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #environment: HubEnvironment;
  #wanted: readonly string[] = [];
  #current: TrackedConnection | null = null;
  #replacement: TrackedConnection | null = null;
  #timer: unknown = null;
  #isUpdating = false;
  /** A change to these topics was refused: it is not tried again. */
  #refused = "";
  #silentSince: number | null = null;
  #isSuspect = false;
  #isClosed = false;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.#environment = options.environment;
  }

  get position(): string {
    return this.#current?.lastEventId ?? "";
  }

  get #isPolling(): boolean {
    const state = this.#current?.state;
    return state?.name === "live" && state.isPolling === true;
  }

  status(): ConnectionStatus {
    const current = this.#current;
    if (current === null) return { name: "connecting", tries: 0 };
    const { state, isCaughtUp, received, stateSince } = current;
    return statusOf(state, { isCaughtUp, received, silentSince: this.#silentSince, stateSince });
  }

  /** Open the stream. With a position it resumes after it. */
  open(topics: readonly string[], position: string): void {
    this.#wanted = topics;
    this.#current = this.#connect(topics, position);
  }

  /** @param topics  sorted, at least one */
  setTopics(topics: readonly string[]): void {
    this.#wanted = topics;
    this.#synchronize();
  }

  /** What has arrived since `since` (epoch milliseconds) may be old, because the machine has slept. */
  distrust(since: number): void {
    this.#isSuspect = true;
    this.#silentSince ??= since;
    this.#replace();
    this.#options.onStatus();
  }

  retryNow(): void {
    const current = this.#current;
    if (current === null) return;
    if (current.state.name === "closed") {
      current.close();
      this.#current = this.#connect(this.#wanted, current.lastEventId);
    } else {
      current.retryNow();
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#environment.clearTimeout(this.#timer);
    this.#replacement?.close();
    this.#current?.close();
  }

  #connect(topics: readonly string[], lastEventId: string, polls = false): TrackedConnection {
    const { baseUrl, user, token } = this.#options;
    const names = topics.map(encodeURIComponent).join(",");
    const url = `${baseUrl}/api/stream?topics=${names}`;
    return new TrackedConnection(
      { url, topics, user, token, lastEventId, polls },
      this.#environment,
      {
        onEvent: (connection, event) => this.#onEvent(connection, event),
        onState: (connection) => this.#onState(connection),
        onCaughtUp: (connection) => this.#onCaughtUp(connection),
      },
    );
  }

  #onEvent(connection: TrackedConnection, event: StreamEvent): void {
    if (connection === this.#replacement) this.#takeReplacement();
    if (connection !== this.#current) return;
    this.#options.onEvent(event);
    if (!this.#isSuspect && connection.state.name === "live" && !connection.state.isSilent)
      this.#endSilence();
  }

  #onCaughtUp(connection: TrackedConnection): void {
    if (connection !== this.#current) return;
    this.#isSuspect = false;
    this.#endSilence();
    this.#options.onStatus();
    this.#synchronize();
  }

  #onState(connection: TrackedConnection): void {
    const { state } = connection;
    if (connection === this.#replacement) this.#onReplacementState(state);
    if (connection !== this.#current) return;
    if (state.name === "live" && state.isSilent) this.#startSilence(connection);
    else if (state.name === "live" && !this.#isSuspect && connection.isCaughtUp) this.#endSilence();
    else if (state.name === "reconnecting") this.#silentSince = null;
    this.#options.onStatus();
    this.#synchronize();
  }

  #onReplacementState(state: State): void {
    const isPolling = state.name === "live" && state.isPolling === true;
    // A proxy that holds streams back is a matter of the connection that is replaced.
    if (state.name === "signed-out" || (isPolling && this.#isPolling)) this.#takeReplacement();
    else if (state.name === "closed" || isPolling) this.#dropReplacement();
  }

  #startSilence(connection: TrackedConnection): void {
    this.#silentSince ??= connection.lastActiveAt;
    this.#schedule(REPLACE_SILENT_MS, () => this.#replace());
  }

  #endSilence(): void {
    if (this.#silentSince === null) return;
    this.#silentSince = null;
    this.#dropReplacement();
    this.#options.onStatus();
  }

  #replace(): void {
    const current = this.#current;
    if (current === null || current.isOver) return;
    this.#dropReplacement();
    if (current.state.name === "reconnecting") {
      current.retryNow();
      return;
    }
    this.#replacement = this.#connect(current.topics, current.lastEventId);
    this.#schedule(REPLACEMENT_TIMEOUT_MS, () => this.#replace());
  }

  #takeReplacement(): void {
    const current = this.#current;
    const replacement = this.#replacement;
    if (replacement === null) return;
    this.#environment.clearTimeout(this.#timer);
    this.#replacement = null;
    this.#current = replacement;
    // The old one was live meanwhile: what it brought is not brought again.
    if (current !== null && isLater(current.lastEventId, replacement.lastEventId)) {
      replacement.skipTo(current.lastEventId);
    }
    current?.close();
  }

  #dropReplacement(): void {
    this.#environment.clearTimeout(this.#timer);
    this.#replacement?.close();
    this.#replacement = null;
  }

  #schedule(milliseconds: number, run: () => void): void {
    this.#environment.clearTimeout(this.#timer);
    this.#timer = this.#environment.setTimeout(run, milliseconds);
  }

  /** Make the stream show what is wanted, if that is possible now. */
  #synchronize(): void {
    const current = this.#current;
    if (this.#isClosed || this.#isUpdating || current === null) return;
    const wanted = this.#wanted.join(",");
    if (current.topics.join(",") === wanted || wanted === this.#refused) return;
    if (current.canUpdate) {
      void this.#update(current, this.#wanted);
    } else if (current.state.name === "live" && current.state.isPolling) {
      this.#reopen(current);
    } else if (current.state.name === "closed" && current.state.error !== null) {
      this.#reopen(current); // perhaps it was the topics that the server refused
    } else if (current.lastEventId === "" && current.received === 0 && !current.isOver) {
      this.#reopen(current);
    }
  }

  /** Open the stream anew with a snapshot of everything. */
  #reopen(old: TrackedConnection): void {
    this.#dropReplacement();
    old.close();
    this.#options.onRestart(this.#wanted);
    const polls = old.state.name === "live" && old.state.isPolling === true;
    this.#current = this.#connect(this.#wanted, "", polls);
  }

  async #update(connection: TrackedConnection, topics: readonly string[]): Promise<void> {
    this.#isUpdating = true;
    this.#options.onAdding(topics);
    try {
      await connection.update(topics);
      connection.topics = topics;
      if (connection === this.#current) this.#options.onShown(topics);
    } catch (error) {
      const isAnonymous = this.#options.user === null;
      if (error instanceof ApiError && error.statusCode === 401 && isAnonymous) {
        // An edge of before 2026-12 changes no stream without a session.
        if (connection === this.#current) this.#reopen(connection);
      } else if (error instanceof ApiError && !error.transient && error.statusCode !== 404) {
        this.#refused = topics.join(",");
        globalThis.reportError?.(new Error(`refused: ${this.#refused}: ${error.message}`));
      } else {
        this.#environment.setTimeout(() => this.#synchronize(), UPDATE_RETRY_MS);
        return;
      }
    } finally {
      this.#isUpdating = false;
    }
    this.#synchronize();
  }
}
