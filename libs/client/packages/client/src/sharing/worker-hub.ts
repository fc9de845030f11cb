/** The hub of a shared worker: each port is an outlet of its own, and all share one stream. */

import type { HubEnvironment } from "../hub/environment.js";
import type { TabMessage } from "../hub/messages.js";
import { Outlet } from "../hub/outlets.js";
import { StreamHub } from "../hub/stream-hub.js";
import { nextTerm } from "./election.js";
import type { Locks } from "./environment.js";
import { countTabs, waitForEnd } from "./tab-locks.js";
import type { WorkerGreeting } from "./worker-link.js";

export class WorkerHub {
  readonly #environment: HubEnvironment;
  readonly #locks: Locks | null;
  #hub: StreamHub | null = null;
  #ports = 0;

  constructor(environment: HubEnvironment, locks: Locks | null) {
    this.#environment = environment;
    this.#locks = locks;
  }

  /** @returns what to call with each message of the port */
  connect(post: (message: unknown) => void): (message: unknown) => void {
    this.#ports += 1;
    const outlet = new Outlet(`port ${this.#ports}`, post);
    return (data) => {
      const message = data as TabMessage | WorkerGreeting;
      if (message.kind === "settings") this.#start(message);
      else this.#hub?.receive(message, outlet);
    };
  }

  #start({ scope, settings }: WorkerGreeting): void {
    const environment = this.#environment;
    this.#hub ??= new StreamHub({
      ...settings,
      environment,
      term: nextTerm(environment.now(), environment.random(), 0),
      countTabs: () => countTabs(this.#locks, scope),
      watchTab: (presence) => waitForEnd(this.#locks, scope, presence),
    });
  }
}
