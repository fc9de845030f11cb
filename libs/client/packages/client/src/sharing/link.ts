/** The way from a tab to its hub. `worker-link.ts`, `leader-link.ts` and `own-link.ts` are the three ways. */

import type { HubMessage, TabMessage } from "../hub/messages.js";
import type { Transport } from "../interfaces.js";

export interface LinkListener {
  onMessage(message: HubMessage): void;
  /**
   * There is another hub, or the way to it is new: the tab introduces itself.
   *
   * @param term  hubs of lower terms are ignored; -1 where the link only lets the new hub through
   */
  onOpen(term: number): void;
  onTransport(transport: Transport): void;
  /** This way does not work in this browser. */
  onUnusable(): void;
}

export interface HubLink {
  /** The first message of the hub comes within this time. */
  readonly startMs: number;
  open(): void;
  post(message: TabMessage): void;
  /** Called from time to time: find out whether there is another hub now. */
  check(): void;
  /** The hub does not answer: find another one, or become it. */
  seek(): void;
  /** @returns whether the tab must ask for its views again */
  onVisibility(isVisible: boolean): boolean;
  /** Release everything, at once: the page may stand still from now on. */
  leave(): void;
}

/** @param presence  the name of the lock that the tab holds while it uses the link */
export type CreateLink = (listener: LinkListener, presence: string) => HubLink;
