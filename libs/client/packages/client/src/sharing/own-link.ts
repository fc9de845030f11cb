/** A hub in the tab itself, for browsers in which tabs cannot share one. */

import type { HubEnvironment } from "../hub/environment.js";
import { type HubMessage, SILENCE_MS, type TabMessage } from "../hub/messages.js";
import { Outlet } from "../hub/outlets.js";
import { StreamHub } from "../hub/stream-hub.js";
import type { HubLink, LinkListener } from "./link.js";

export interface HubSettings {
  readonly baseUrl: string;
  readonly usesToken: boolean;
}

export class OwnLink implements HubLink {
  readonly startMs = SILENCE_MS;
  readonly #settings: HubSettings;
  readonly #environment: HubEnvironment;
  readonly #listener: LinkListener;
  #hub: StreamHub | null = null;
  #outlet: Outlet;

  constructor(settings: HubSettings, environment: HubEnvironment, listener: LinkListener) {
    this.#settings = settings;
    this.#environment = environment;
    this.#listener = listener;
    this.#outlet = this.#newOutlet();
  }

  open(): void {
    this.#listener.onTransport("own");
    this.#start();
  }

  post(message: TabMessage): void {
    this.#hub?.receive(message, this.#outlet);
  }

  check(): void {
    // There is one hub.
  }

  seek(): void {
    // The hub runs whenever the tab does; only an error of its own can have stopped it.
    this.#hub?.close();
    this.#start();
  }

  onVisibility(): boolean {
    return false;
  }

  leave(): void {
    this.#hub?.close();
    this.#hub = null;
  }

  #start(): void {
    this.#outlet = this.#newOutlet();
    this.#hub = new StreamHub({
      ...this.#settings,
      environment: this.#environment,
      term: 0,
      countTabs: () => Promise.resolve(1),
    });
    this.#listener.onOpen(-1);
  }

  #newOutlet(): Outlet {
    return new Outlet("own", (message: HubMessage) => this.#listener.onMessage(message));
  }
}
