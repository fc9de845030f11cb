/**
 * The hub of a browser: one stream for all tabs, and the views of its topics.
 *
 * It runs in a shared worker, in the tab that leads, or in a tab of its own. Tabs say what they want
 * (`receive`); the stream shows the union of it. A tab gets the views of its topics once, and then
 * every event in numbered frames. A new hub first gathers what tabs have of the hub before it, and
 * resumes from there. Start reading at `receive` and `#reconsider`; `broadcaster.ts` sends frames.
 */

import type { ConnectionStatus, StreamReset } from "../interfaces.js";
import { dependsOnUser, isPrivate, viewName } from "../topics.js";
import type { StreamEvent } from "../types.js";
import { Broadcaster } from "./broadcaster.js";
import { type Demand, demandAfter, mergeTopics } from "./demand.js";
import type { HubEnvironment } from "./environment.js";
import { Gathering } from "./gathering.js";
import { SILENCE_MS, type TabMessage, type TabState, type UserReport } from "./messages.js";
import type { Header, Outlet } from "./outlets.js";
import { areComparable, isLater } from "./positions.js";
import { beginningOf } from "./seeding.js";
import { Tabs } from "./tabs.js";
import { TokenRelay } from "./token-relay.js";
import { Upstream } from "./upstream.js";
import { ViewStore } from "./view-store.js";

const TICK_MS = 100;

export interface HubOptions {
  readonly environment: HubEnvironment;
  /** "" for the origin of the script. */
  readonly baseUrl: string;
  /** Whether requests need a bearer token, which tabs have. */
  readonly usesToken: boolean;
  readonly term: number;
  /** How many tabs there are now, so that the hub need not wait for more; null: unknown. */
  countTabs(): Promise<number | null>;
  /** Called once for each presence of a tab; the hub drops the tab when the promise is fulfilled. */
  watchTab?(presence: string): Promise<void>;
}

export class StreamHub {
  readonly #options: HubOptions;
  readonly #environment: HubEnvironment;
  readonly #tabs = new Tabs();
  readonly #views = new ViewStore();
  readonly #broadcaster: Broadcaster;
  readonly #gathering: Gathering;
  readonly #tokens: TokenRelay;
  #demand: Demand = new Map();
  #upstream: Upstream | null = null;
  #user: UserReport | null = null;
  #lastEventAt: number | null = null;
  #lastReset: StreamReset | null = null;
  #activeAt: number;
  #tickTimer: unknown = null;
  #isClosed = false;

  constructor(options: HubOptions) {
    this.#options = options;
    const { environment } = options;
    this.#environment = environment;
    this.#activeAt = environment.now();
    this.#broadcaster = new Broadcaster({
      environment,
      tabs: this.#tabs,
      views: this.#views,
      header: () => this.#header(),
      position: () => this.#upstream?.position ?? "",
      isAnnounced: (position) => this.#isAnnounced(position),
    });
    this.#tokens = new TokenRelay(environment, (attempt) => this.#askForToken(attempt));
    this.#gathering = new Gathering({
      environment,
      countTabs: () => options.countTabs(),
      tabs: () => [...this.#tabs.values()].map((tab) => this.#withOwnViews(tab.state)),
      ask: (tab, names) => {
        this.#broadcaster.outletOf(tab)?.send({ kind: "give", term: options.term, tab, names });
      },
      onEnd: () => {
        this.#views.replace(this.#gathering.views);
        this.#reconsider();
      },
    });
    this.#tick();
  }

  /** Tell every tab to say what it wants. */
  callTheRoll(outlets: Iterable<Outlet>): void {
    for (const outlet of outlets)
      outlet.send({ kind: "roll-call", term: this.#options.term, tab: null });
  }

  /** A message of a tab, which is reached through `outlet`. */
  receive(message: TabMessage, outlet: Outlet): void {
    if (this.#isClosed) return;
    this.#checkClock();
    const tab = this.#tabs.get(message.tab);
    if (tab !== undefined) tab.heardAt = this.#environment.now();
    if (message.kind === "tab") this.#receiveState(message, outlet);
    else if (message.kind === "seed") this.#receiveSeed(message);
    else if (message.kind === "token") this.#tokens.receive(message.token);
    else if (message.kind === "retry") this.#upstream?.retryNow();
    else if (message.kind === "bye") this.dropTab(message.tab);
    else if (tab !== undefined) this.#broadcaster.sendHeartbeat(outlet);
    else outlet.send({ kind: "roll-call", term: this.#options.term, tab: message.tab });
  }

  dropTab(id: string): void {
    const outlet = this.#broadcaster.outletOf(id);
    this.#tabs.remove(id);
    if (outlet === undefined) return;
    this.#broadcaster.update(outlet);
    this.#reconsider();
  }

  close(): void {
    this.#isClosed = true;
    this.#environment.clearTimeout(this.#tickTimer);
    this.#broadcaster.close();
    this.#tokens.cancel();
    this.#upstream?.close();
  }

  #receiveState(state: TabState, outlet: Outlet): void {
    const before = this.#broadcaster.outletOf(state.tab);
    if (this.#tabs.put(state, outlet.key, this.#environment.now())) {
      void this.#watch(state);
    }
    if (before !== undefined && before !== outlet) this.#broadcaster.update(before);
    this.#broadcaster.update(outlet);
    if (state.user !== null) this.#adoptUser(state.user);
    this.#gathering.onTab(state);
    this.#reconsider();
    this.#broadcaster.flush();
  }

  #receiveSeed({ tab, views }: Extract<TabMessage, { kind: "seed" }>): void {
    const state = this.#tabs.get(tab)?.state;
    if (state === undefined) return;
    const own = Object.entries(views).filter(([name]) => this.#isOwnView(name, state));
    this.#gathering.onViews(tab, Object.fromEntries(own));
  }

  /** A tab without the views of another user. */
  #withOwnViews(state: TabState): TabState {
    return { ...state, has: state.has.filter((name) => this.#isOwnView(name, state)) };
  }

  #isOwnView(name: string, { user }: TabState): boolean {
    return !dependsOnUser(name) || (user !== null && user.userId === this.#user?.userId);
  }

  async #watch({ tab, presence }: TabState): Promise<void> {
    if (this.#options.watchTab === undefined) return;
    await this.#options.watchTab(presence);
    if (this.#tabs.get(tab)?.state.presence === presence) this.dropTab(tab);
  }

  #adoptUser(report: UserReport): void {
    const before = this.#user;
    if (before !== null && report.at <= before.at) return;
    const isOther = before !== null && before.userId !== report.userId;
    // What waits is of the user before, and is sent as such.
    if (isOther) this.#broadcaster.flush(true);
    this.#user = report;
    if (!isOther) return;
    this.#tokens.cancel();
    this.#upstream?.close();
    this.#upstream = null;
    this.#views.dropPrivate();
    this.#gathering.dropPrivate();
    this.#reconsider();
    this.#broadcaster.schedule();
  }

  /** Make the stream show what is wanted now. */
  #reconsider(): void {
    this.#demand = demandAfter(this.#demand, this.#tabs.wants(), this.#environment.now());
    if (this.#isClosed || !this.#gathering.isOver || this.#user === null) return;
    const isSignedIn = this.#user.userId !== null;
    const topics = mergeTopics(
      [...this.#demand.keys()].filter((topic) => isSignedIn || !isPrivate(topic)),
    );
    if (topics.length === 0) {
      this.#upstream?.close();
      this.#upstream = null;
      this.#views.keepOnly([]);
    } else if (this.#upstream !== null) {
      this.#upstream.setTopics(topics);
    } else {
      this.#open(topics);
    }
  }

  #open(topics: readonly string[]): void {
    const { environment, baseUrl, usesToken } = this.#options;
    const beginning = beginningOf(topics, this.#views.all());
    this.#views.replace(beginning.views);
    this.#views.add(beginning.topics, "");
    this.#broadcaster.beginAt(beginning.position);
    const upstream = new Upstream({
      baseUrl,
      environment,
      user: this.#user?.userId ?? null,
      token: usesToken && this.#user?.userId ? () => this.#tokens.request() : undefined,
      onEvent: (event) => this.#onEvent(event),
      onStatus: () => this.#onStatus(),
      onAdding: (added) => this.#views.add(added, upstream.position),
      onShown: (shown) => {
        this.#broadcaster.flush();
        this.#views.keepOnly(shown);
      },
      onRestart: (all) => this.#restart(all),
    });
    this.#upstream = upstream;
    upstream.open(beginning.topics, beginning.position);
    upstream.setTopics(topics);
  }

  /** The stream begins anew: what is between the views and its snapshots is missing. */
  #restart(topics: readonly string[]): void {
    this.#broadcaster.flush(true);
    this.#views.reset(topics);
    this.#broadcaster.beginAt("");
    for (const tab of this.#tabs.values())
      for (const topic of tab.state.wants) tab.needs.add(viewName(topic));
    this.#broadcaster.schedule();
  }

  #onEvent({ type, data, id }: StreamEvent): void {
    this.#checkClock();
    const receivedAt = this.#environment.now();
    this.#lastEventAt = receivedAt;
    if (type === "stream:reset") {
      this.#lastReset = { reason: (data as StreamReset).reason, at: receivedAt };
      this.#broadcaster.beginAt("");
    }
    this.#broadcaster.add({ type, data, id, receivedAt });
  }

  #onStatus(): void {
    if (this.#upstream?.status().name === "signed-out") {
      // Whoever is signed in now, the tabs find it out.
      const at = Math.max(this.#environment.now(), (this.#user?.at ?? 0) + 1);
      this.#adoptUser({ userId: null, at });
    }
    this.#broadcaster.schedule();
  }

  #status(): ConnectionStatus {
    if (this.#upstream !== null) return this.#upstream.status();
    const isSignedOut = this.#user !== null && this.#user.userId === null && this.#demand.size > 0;
    return isSignedOut
      ? { name: "signed-out", reason: "nobody is signed in" }
      : { name: "connecting", tries: 0 };
  }

  #header(): Header {
    return {
      term: this.#options.term,
      sentAt: this.#environment.now(),
      position: this.#broadcaster.position,
      status: this.#status(),
      user: this.#user,
      lastEventAt: this.#lastEventAt,
      lastReset: this.#lastReset,
    };
  }

  #isAnnounced(position: string): boolean {
    const announced = this.#gathering.position;
    return areComparable(position, announced) && !isLater(position, announced);
  }

  #tick(): void {
    if (this.#isClosed) return;
    this.#tickTimer = this.#environment.setTimeout(() => this.#tick(), TICK_MS);
    this.#checkClock();
    for (const tab of this.#tabs.silent(this.#environment.now())) this.dropTab(tab);
    this.#reconsider();
    this.#broadcaster.flush();
    this.#broadcaster.sendHeartbeats();
  }

  /** Notice that this process stood still: what arrives now may be old. */
  #checkClock(): void {
    const before = this.#activeAt;
    this.#activeAt = this.#environment.now();
    if (Math.abs(this.#activeAt - before) > SILENCE_MS) this.#upstream?.distrust(before);
  }

  #askForToken(attempt: number): void {
    const tabs = [...this.#tabs.values()].filter(
      (tab) => tab.state.user?.userId === this.#user?.userId,
    );
    const tab = tabs[attempt % Math.max(tabs.length, 1)]?.state.tab;
    if (tab === undefined) return;
    this.#broadcaster.outletOf(tab)?.send({ kind: "token-request", term: this.#options.term, tab });
  }
}
