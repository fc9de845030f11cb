/** The hub of the leading tab, which writes to two channels: one for visible and one for hidden tabs. */

import type { TabMessage } from "../hub/messages.js";
import { Outlet } from "../hub/outlets.js";
import { StreamHub } from "../hub/stream-hub.js";
import type { MessageLink, TabEnvironment } from "./environment.js";
import type { HubSettings } from "./own-link.js";
import { countTabs, waitForEnd } from "./tab-locks.js";

/** The name of the channel that the leader writes to and tabs read. Tabs write to `hub`. */
export function channelName(isVisible: boolean): "visible" | "hidden" {
  return isVisible ? "visible" : "hidden";
}

export class LeaderHub {
  readonly #hub: StreamHub;
  readonly #channels: readonly MessageLink[];
  readonly #visible: Outlet;
  readonly #hidden: Outlet;
  /** The tabs that read the channel of hidden ones. */
  readonly #hiddenTabs = new Set<string>();

  constructor(scope: string, settings: HubSettings, environment: TabEnvironment, term: number) {
    const channels: MessageLink[] = [];
    const open = (name: string, onMessage: (message: unknown) => void): MessageLink | null => {
      const channel = environment.openChannel(`${scope} ${name}`, onMessage);
      if (channel !== null) channels.push(channel);
      return channel;
    };
    const outlet = (name: string): Outlet => {
      const channel = open(name, () => {});
      return new Outlet(name, (message) => channel?.post(message));
    };
    this.#visible = outlet(channelName(true));
    this.#hidden = outlet(channelName(false));
    this.#hub = new StreamHub({
      ...settings,
      environment,
      term,
      countTabs: () => countTabs(environment.locks, scope),
      watchTab: (presence) => waitForEnd(environment.locks, scope, presence),
    });
    open("hub", (message) => this.#receive(message as TabMessage));
    this.#channels = channels;
    this.#hub.callTheRoll([this.#visible, this.#hidden]);
  }

  close(): void {
    this.#hub.close();
    for (const channel of this.#channels) channel.close();
  }

  #receive(message: TabMessage): void {
    const { tab } = message;
    if (message.kind === "bye" || (message.kind === "tab" && message.isVisible)) {
      this.#hiddenTabs.delete(tab);
    } else if (message.kind === "tab") {
      this.#hiddenTabs.add(tab);
    }
    this.#hub.receive(message, this.#hiddenTabs.has(tab) ? this.#hidden : this.#visible);
  }
}
