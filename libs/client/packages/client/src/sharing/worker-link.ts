/**
 * A hub in a shared worker, which lives as long as any tab does.
 *
 * A worker that does not answer, because it has ended or stands still, is replaced by one of the next
 * generation: a worker with another name. The tabs agree on the highest generation by a channel, and by
 * a value in the origin's storage for those that come later.
 */

import type { HubMessage, TabMessage } from "../hub/messages.js";
import type { MessageLink, TabEnvironment } from "./environment.js";
import type { HubLink, LinkListener } from "./link.js";
import type { HubSettings } from "./own-link.js";
import { holdTabLock } from "./tab-locks.js";

/** After so many workers without a single message, workers count as unusable. */
export const MAX_SILENT_WORKERS = 2;

/** The first message through a port. */
export interface WorkerGreeting {
  readonly kind: "settings";
  readonly scope: string;
  readonly settings: HubSettings;
}

export class WorkerLink implements HubLink {
  /** The script is loaded first. */
  readonly startMs = 5_000;
  readonly #scope: string;
  readonly #url: string | URL;
  readonly #settings: HubSettings;
  readonly #environment: TabEnvironment;
  readonly #listener: LinkListener;
  readonly #presence: string;
  #generation = 0;
  #port: MessageLink | null = null;
  /** Tells of new generations. */
  #otherTabs: MessageLink | null = null;
  #silentWorkers = 0;
  #releaseTabLock: () => void = () => {};

  constructor(
    scope: string,
    url: string | URL,
    settings: HubSettings,
    environment: TabEnvironment,
    listener: LinkListener,
    presence: string,
  ) {
    this.#scope = scope;
    this.#url = url;
    this.#settings = settings;
    this.#environment = environment;
    this.#listener = listener;
    this.#presence = presence;
  }

  open(): void {
    const { locks } = this.#environment;
    this.#listener.onTransport("worker");
    this.#otherTabs = this.#environment.openChannel(this.#storageKey, (generation) => {
      if (this.#port !== null && Number(generation) > this.#generation)
        this.#move(Number(generation));
    });
    const start = (): void => this.#connect(this.#storedGeneration());
    if (locks === null) start();
    else this.#releaseTabLock = holdTabLock(locks, this.#scope, this.#presence, start);
  }

  post(message: TabMessage): void {
    this.#port?.post(message);
  }

  check(): void {
    const stored = this.#storedGeneration();
    if (this.#port !== null && stored > this.#generation) this.#move(stored);
  }

  seek(): void {
    this.#silentWorkers += 1;
    if (this.#silentWorkers > MAX_SILENT_WORKERS) {
      this.#listener.onUnusable();
      return;
    }
    const stored = this.#storedGeneration();
    const generation = stored > this.#generation ? stored : this.#generation + 1;
    this.#environment.writeShared(this.#storageKey, String(generation));
    this.#otherTabs?.post(generation);
    this.#move(generation);
  }

  #move(generation: number): void {
    this.post({ kind: "bye", tab: this.#environment.tabId });
    this.#connect(generation);
  }

  onVisibility(): boolean {
    return false;
  }

  leave(): void {
    this.#releaseTabLock();
    this.#otherTabs?.close();
    this.#otherTabs = null;
    this.#port?.close();
    this.#port = null;
  }

  get #storageKey(): string {
    return `${this.#scope} generation`;
  }

  #storedGeneration(): number {
    const stored = Number(this.#environment.readShared(this.#storageKey) ?? 0);
    return Number.isSafeInteger(stored) && stored >= 0 ? stored : 0;
  }

  #connect(generation: number): void {
    this.#port?.close();
    this.#generation = generation;
    let port: MessageLink | null = null;
    port = this.#environment.openWorker(
      this.#url,
      `${this.#scope} ${generation}`,
      (message) => {
        if (port === null || port !== this.#port) return;
        this.#silentWorkers = 0;
        this.#listener.onMessage(message as HubMessage);
      },
      () => port !== null && port === this.#port && this.#listener.onUnusable(),
    );
    this.#port = port;
    if (port === null) {
      this.#listener.onUnusable();
      return;
    }
    const greeting: WorkerGreeting = {
      kind: "settings",
      scope: this.#scope,
      settings: this.#settings,
    };
    port.post(greeting);
    this.#listener.onOpen(-1);
  }
}
