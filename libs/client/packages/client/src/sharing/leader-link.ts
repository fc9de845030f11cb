/**
 * A hub in one of the tabs: the leader, which holds a Web Lock. All tabs talk by broadcast channels.
 *
 * The leader writes to two channels, for visible and for hidden tabs, which differ in rate; tabs write
 * to a third one. The leader's own tab is one of the readers. Start reading at `#carryOut`.
 */

import { type HubMessage, SILENCE_MS, type TabMessage } from "../hub/messages.js";
import {
  AWAY,
  type Election,
  type ElectionAction,
  type ElectionInput,
  nextTerm,
  step,
} from "./election.js";
import type { MessageLink, TabEnvironment } from "./environment.js";
import { channelName, LeaderHub } from "./leader-hub.js";
import type { HubLink, LinkListener } from "./link.js";
import type { HubSettings } from "./own-link.js";
import { holdTabLock } from "./tab-locks.js";

/** A tab waits up to this long, at random, before it steals the lock. */
const MAX_STEAL_DELAY_MS = 150;

export class LeaderLink implements HubLink {
  readonly startMs = SILENCE_MS;
  readonly #scope: string;
  readonly #settings: HubSettings;
  readonly #environment: TabEnvironment;
  readonly #listener: LinkListener;
  readonly #presence: string;
  #election: Election = AWAY;
  #hub: LeaderHub | null = null;
  /** To the leader. */
  #toHub: MessageLink | null = null;
  /** From the leader, by channel. */
  readonly #fromHub = new Map<string, MessageLink>();
  #stealTimer: unknown = null;
  #releaseLock: () => void = () => {};
  #releaseTabLock: () => void = () => {};

  constructor(
    scope: string,
    settings: HubSettings,
    environment: TabEnvironment,
    listener: LinkListener,
    presence: string,
  ) {
    this.#scope = scope;
    this.#settings = settings;
    this.#environment = environment;
    this.#listener = listener;
    this.#presence = presence;
  }

  open(): void {
    const { locks } = this.#environment;
    this.#toHub =
      locks === null ? null : this.#environment.openChannel(`${this.#scope} hub`, () => {});
    if (locks === null || this.#toHub === null) {
      this.#listener.onUnusable();
      return;
    }
    this.#releaseTabLock = holdTabLock(locks, this.#scope, this.#presence, () => {
      this.#listen(this.#environment.isVisible());
      this.#listener.onTransport("follower");
      this.#advance({ kind: "join" });
      this.#listener.onOpen(this.#election.term);
    });
  }

  post(message: TabMessage): void {
    this.#toHub?.post(message);
  }

  check(): void {
    // A new leader calls the roll.
  }

  seek(): void {
    // Of many tabs, one steals first, and the others hear it.
    this.#stealTimer ??= this.#environment.setTimeout(() => {
      this.#stealTimer = null;
      this.#advance({ kind: "silent" });
    }, this.#environment.random() * MAX_STEAL_DELAY_MS);
  }

  onVisibility(isVisible: boolean): boolean {
    return this.#listen(isVisible);
  }

  leave(): void {
    this.#cancelSteal();
    this.#advance({ kind: "leave" });
    this.#releaseTabLock();
    for (const channel of this.#fromHub.values()) channel.close();
    this.#fromHub.clear();
    this.#toHub?.close();
    this.#toHub = null;
  }

  /** Listen to one of the leader's channels, and to the other one until the first brings views. */
  #listen(isVisible: boolean): boolean {
    const name = channelName(isVisible);
    if (this.#fromHub.has(name)) return false;
    const channel = this.#environment.openChannel(`${this.#scope} ${name}`, (message) =>
      this.#onMessage(message as HubMessage),
    );
    if (channel !== null) this.#fromHub.set(name, channel);
    return true;
  }

  #onMessage(message: HubMessage): void {
    this.#cancelSteal();
    this.#advance({ kind: "heard", term: message.term });
    if (message.kind === "views" && message.tab === this.#environment.tabId)
      this.#keepChannel(message.outlet);
    this.#listener.onMessage(message);
  }

  #cancelSteal(): void {
    this.#environment.clearTimeout(this.#stealTimer);
    this.#stealTimer = null;
  }

  #keepChannel(name: string): void {
    if (name !== channelName(this.#environment.isVisible())) return;
    for (const [other, channel] of this.#fromHub) {
      if (other === name) continue;
      channel.close();
      this.#fromHub.delete(other);
    }
  }

  #advance(input: ElectionInput): void {
    const { state, actions } = step(this.#election, input);
    this.#election = state;
    for (const action of actions) this.#carryOut(action);
  }

  #carryOut(action: ElectionAction): void {
    if (action.kind === "request") this.#requestLock(action.request, action.steal);
    else if (action.kind === "lead") this.#lead(action.term);
    else if (action.kind === "stop") this.#stop();
    else this.#releaseLock();
  }

  #requestLock(request: number, steal: boolean): void {
    const { locks, now, random } = this.#environment;
    const controller = new AbortController();
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    this.#releaseLock = () => {
      controller.abort();
      release();
    };
    const hold = (): Promise<void> => {
      this.#advance({
        kind: "granted",
        request,
        nextTerm: nextTerm(now(), random(), this.#election.term),
      });
      return held;
    };
    const options = steal ? { steal } : { signal: controller.signal };
    locks
      ?.request(`${this.#scope} leader`, options, hold)
      // Rejected: aborted, which the election has decided itself, or stolen.
      .catch(() => this.#advance({ kind: "lost", request }));
  }

  #lead(term: number): void {
    this.#hub = new LeaderHub(this.#scope, this.#settings, this.#environment, term);
    this.#listener.onTransport("leader");
  }

  #stop(): void {
    this.#hub?.close();
    this.#hub = null;
    this.#listener.onTransport("follower");
  }
}
