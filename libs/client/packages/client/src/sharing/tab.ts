/**
 * A tab: the topics that its page wants, as the hub of the browser has them.
 *
 * It says what it wants over a link, follows the frames that come back, and watches whether they do.
 * When nothing comes, no price counts as current, and the link finds another hub. A page that is
 * frozen leaves, and comes back. Start reading at `#onMessage` and `#tick`.
 */

import { callSafely } from "../callbacks.js";
import {
  type HubMessage,
  TAB_INTERVAL_MS,
  type TabState,
  type UserReport,
} from "../hub/messages.js";
import type { ConnectionInfo, Readable, Unsubscribe } from "../interfaces.js";
import type { TopicChange, TopicSource, TopicView } from "../source.js";
import { viewName } from "../topics.js";
import type { PageEvent, TabEnvironment } from "./environment.js";
import type { CreateLink, HubLink, LinkListener } from "./link.js";
import { afterMessage, afterTick, beginListening, isSilent, type Liveness } from "./liveness.js";
import { Replica, type ViewChange } from "./replica.js";
import { TabStatus } from "./tab-status.js";
import { PlainValue } from "./value.js";
import { Wants } from "./wants.js";

/** A tab looks so often whether it hears its hub. */
export const TICK_MS = 125;

export interface TabOptions {
  readonly environment: TabEnvironment;
  /** The ways to a hub, the preferred one first; the last one always works. */
  readonly links: readonly CreateLink[];
  readonly token?: (() => string | Promise<string>) | undefined;
  /** The hub knows of a later session, of another user than this tab's. */
  onOtherUser(): void;
}

export class Tab implements TopicSource {
  readonly user = new PlainValue<string | null>(null);
  readonly connection: ConnectionInfo;
  readonly #options: TabOptions;
  readonly #environment: TabEnvironment;
  readonly #wants = new Wants();
  readonly #replica: Replica;
  readonly #status = new TabStatus();
  #link: HubLink | null = null;
  #linkIndex = 0;
  #openings = 0;
  #liveness: Liveness;
  #report: UserReport | null = null;
  /** Views to ask for with the next message. */
  readonly #needs = new Set<string>();
  /** Views that were asked for; those of another user are asked for again. */
  readonly #asked = new Set<string>();
  #isStateDue = false;
  #saidAt = -Infinity;
  #offers = 0;
  #timer: unknown = null;
  #isAway = false;
  #isClosed = false;
  readonly #stopPageEvents: Unsubscribe;

  constructor(options: TabOptions) {
    this.#options = options;
    this.#environment = options.environment;
    this.#replica = new Replica(options.environment.tabId);
    this.#liveness = beginListening(options.environment.now());
    this.connection = {
      status: this.#status.status,
      lastEventAt: this.#status.lastEventAt,
      lastReset: this.#status.lastReset,
      transport: this.#status.transport,
      retryNow: () => this.#link?.post({ kind: "retry", tab: this.#replica.tab }),
    };
    this.#stopPageEvents = options.environment.onPageEvent((event) => this.#onPageEvent(event));
    this.#openLink();
    this.#tick();
  }

  get isCurrent(): Readable<boolean> {
    return {
      get: () => this.#status.isLive.get() && !isSilent(this.#liveness, this.#environment.now()),
      subscribe: this.#status.isLive.subscribe,
    };
  }

  get #presence(): string {
    return `${this.#replica.tab} ${this.#openings}`;
  }

  subscribe(topic: string, listener: (change: TopicChange) => void): Unsubscribe {
    const stop = this.#wants.add(topic, listener, () => this.#onWantsChanged());
    this.#needs.add(viewName(topic));
    return stop;
  }

  view(topic: string): TopicView {
    return this.#replica.view(viewName(topic));
  }

  offerToAnnounce(): Unsubscribe {
    this.#offers += 1;
    if (this.#offers === 1) this.#sayState();
    let isOffered = true;
    return () => {
      if (!isOffered) return;
      isOffered = false;
      this.#offers -= 1;
      if (this.#offers === 0) this.#sayState();
    };
  }

  /** Whose session the browser has, as this tab has found out. */
  setUser(report: UserReport): void {
    this.#report = report;
    const changes = this.#replica.setUser(report.userId);
    this.#asked.clear();
    this.user.set(report.userId);
    this.#notify(changes, false);
    this.#sayState();
  }

  close(): void {
    this.#leave();
    this.#isClosed = true;
    this.#stopPageEvents();
    this.#environment.clearTimeout(this.#timer);
    this.#status.transport.set("none");
  }

  #openLink(): void {
    const create = this.#options.links[this.#linkIndex];
    this.#liveness = beginListening(this.#environment.now());
    this.#openings += 1;
    const listener: LinkListener = {
      onMessage: (message) => this.#link === link && this.#onMessage(message),
      onOpen: (term) => this.#link === link && this.#introduce(term),
      onTransport: (transport) => this.#link === link && this.#status.transport.set(transport),
      onUnusable: () => this.#link === link && this.#openNextLink(),
    };
    const link: HubLink | undefined = create?.(listener, this.#presence);
    this.#link = link ?? null;
    link?.open();
  }

  #openNextLink(): void {
    this.#link?.leave();
    this.#linkIndex = Math.min(this.#linkIndex + 1, this.#options.links.length - 1);
    this.#openLink();
  }

  #onMessage(message: HubMessage): void {
    if (this.#isClosed || this.#isAway || message.term < this.#replica.term) return;
    const { tab } = this.#replica;
    if (message.kind === "frame" || message.kind === "views") this.#onViews(message);
    else if (message.tab !== null && message.tab !== tab) return;
    else if (message.kind === "roll-call") this.#introduce(message.term);
    else if (message.kind === "give") this.#giveViews(message.names);
    else void this.#giveToken();
  }

  #onViews(message: Extract<HubMessage, { kind: "frame" | "views" }>): void {
    const { result, changes } = this.#replica.receive(message);
    if (result === "lost") this.#introduce();
    if (result !== "applied") return;
    this.#liveness = afterMessage(this.#liveness, message.sentAt, this.#environment.now());
    this.#followUser(message.user);
    this.#showStatus();
    this.#notify(changes, message.kind === "frame" && message.announcer === this.#replica.tab);
  }

  #followUser(user: UserReport | null): void {
    if (user !== null && this.#report !== null && user.at > this.#report.at) {
      if (user.userId !== this.#report.userId) this.#options.onOtherUser();
    }
    const missing = this.#replica.missing;
    if (user?.userId !== this.user.get()) this.#asked.clear();
    else if (missing.some((name) => !this.#asked.has(name))) this.#sayState();
  }

  #notify(changes: readonly ViewChange[], announces: boolean): void {
    for (const { name, view, events } of changes) {
      for (const listener of this.#wants.listenersOf(name))
        callSafely(listener, { view, events, announces });
    }
  }

  /** Say everything to the hub, and ask for all views. */
  #introduce(term?: number): void {
    this.#replica.rejoin(term);
    this.#asked.clear();
    this.#showStatus();
    this.#postState();
  }

  #onWantsChanged(): void {
    const changes = this.#replica.setTopics(this.#wants.topics, this.#wants.names);
    // `subscribe` returns before its listener hears anything.
    queueMicrotask(() => this.#notify(changes, false));
    this.#sayState();
  }

  /** Post the state once the page has said all that it wants. */
  #sayState(): void {
    if (this.#isStateDue) return;
    this.#isStateDue = true;
    queueMicrotask(() => this.#postState());
  }

  #postState(): void {
    this.#isStateDue = false;
    if (this.#isClosed || this.#isAway) return;
    const { tab, missing, complete, header, isFollowing } = this.#replica;
    const wanted = this.#wants.names;
    for (const name of missing) if (!this.#asked.has(name)) this.#needs.add(name);
    const needs = [...this.#needs].filter((name) => wanted.has(name));
    this.#needs.clear();
    for (const name of needs) this.#asked.add(name);
    const state: TabState = {
      kind: "tab",
      tab,
      presence: this.#presence,
      wants: this.#wants.topics,
      needs,
      isNew: !isFollowing,
      position: header?.position ?? "",
      has: complete,
      user: this.#report,
      isVisible: this.#environment.isVisible(),
      offersToAnnounce: this.#offers > 0,
    };
    this.#saidAt = this.#environment.now();
    this.#link?.post(state);
  }

  #giveViews(names: readonly string[]): void {
    const { tab } = this.#replica;
    this.#link?.post({ kind: "seed", tab, views: this.#replica.viewsOf(names) });
  }

  async #giveToken(): Promise<void> {
    // Without a token here, the hub asks another tab.
    const ask = async (): Promise<string | undefined> => this.#options.token?.();
    const token = (await ask().catch(() => null)) ?? null;
    this.#link?.post({ kind: "token", tab: this.#replica.tab, token });
  }

  #tick(): void {
    if (this.#isClosed) return;
    this.#timer = this.#environment.setTimeout(() => this.#tick(), TICK_MS);
    if (this.#isAway) return;
    const now = this.#environment.now();
    const startMs = this.#link?.startMs ?? 0;
    const { liveness, shouldPing, shouldSeek } = afterTick(this.#liveness, now, startMs);
    this.#liveness = liveness;
    this.#showStatus();
    const isDue = Math.abs(now - this.#saidAt) >= TAB_INTERVAL_MS;
    // A message that was to bring the views may have been lost.
    if (shouldPing && !this.#replica.isFollowing) this.#introduce();
    else if (shouldPing || isDue) this.#link?.post({ kind: "ping", tab: this.#replica.tab });
    if (isDue) this.#link?.check();
    if (isDue) this.#saidAt = now;
    if (shouldSeek) this.#link?.seek();
  }

  #showStatus(): void {
    const { header, isFollowing } = this.#replica;
    this.#status.show(header, isFollowing, this.#liveness, this.#environment.now());
  }

  #onPageEvent(event: PageEvent): void {
    if (event === "leave") {
      this.#leave();
    } else if (event === "return") {
      this.#return();
    } else if (!this.#isAway) {
      this.#showStatus();
      const mustAsk = this.#link?.onVisibility(this.#environment.isVisible());
      if (mustAsk) for (const name of this.#wants.names) this.#needs.add(name);
      this.#sayState();
    }
  }

  #leave(): void {
    if (this.#isAway || this.#isClosed) return;
    this.#link?.post({ kind: "bye", tab: this.#replica.tab });
    this.#link?.leave();
    this.#replica.rejoin();
    this.#showStatus();
    this.#isAway = true;
  }

  #return(): void {
    if (!this.#isAway) return;
    this.#isAway = false;
    this.#showStatus();
    this.#openLink();
  }
}
