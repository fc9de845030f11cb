/** A tab of the simulated browser, and what a person would notice of it. */

import { ApiError } from "../../src/rest.js";
import { Session } from "../../src/session.js";
import type { TabEnvironment } from "../../src/sharing/environment.js";
import { LeaderLink } from "../../src/sharing/leader-link.js";
import type { CreateLink } from "../../src/sharing/link.js";
import { OwnLink } from "../../src/sharing/own-link.js";
import { Tab } from "../../src/sharing/tab.js";
import { WorkerHub } from "../../src/sharing/worker-hub.js";
import { WorkerLink } from "../../src/sharing/worker-link.js";
import type { TopicChange } from "../../src/source.js";
import type { OrdersState } from "../../src/views/orders.js";
import type { PricesState } from "../../src/views/prices.js";
import { type FakeEdge, SYMBOLS } from "./fake-edge.js";
import { Process } from "./process.js";
import { PageEvents, type World } from "./world.js";

export type Mode = "worker" | "leader";

const SETTINGS = { baseUrl: "", usesToken: false };
/** A price that counts as current is at most this old: the silence of a hub and of a stream. */
export const MAX_CURRENT_AGE_MS = 1_500 + 4_000;

export class SimTab {
  readonly process: Process;
  readonly tab: Tab;
  readonly session: Session;
  readonly page = new PageEvents();
  readonly mistakes: string[] = [];
  isVisible = true;
  /** It stood still, and has not got its views again since. */
  wasAway = false;
  /** Since when its prices are current (awake milliseconds); null: they are not. */
  currentSince: number | null = null;
  /** Announced executions. */
  readonly announced: string[] = [];
  readonly #world: World;
  readonly #edge: FakeEdge;
  /** Executions that the listener was told of, since the view last became another user's. */
  #told = new Set<string>();
  /** The sequence from which on the view must have all executions of the user; null: not yet. */
  #completeFrom: number | null = null;

  constructor(name: string, mode: Mode, world: World, edge: FakeEdge) {
    this.#world = world;
    this.#edge = edge;
    this.process = new Process(name);
    const environment = environmentOf(this, world, edge);
    const scope = "tapewire";
    this.session = new Session({
      environment,
      channelName: `${scope} session`,
      call: <T>(method: string, _path: string, body?: unknown) =>
        this.#callSession(method, body) as Promise<T>,
      onReport: (report) => this.tab.setUser(report),
    });
    const links: CreateLink[] = [(listener) => new OwnLink(SETTINGS, environment, listener)];
    links.unshift(
      (listener, presence) => new LeaderLink(scope, SETTINGS, environment, listener, presence),
    );
    if (mode === "worker") {
      links.unshift(
        (listener, presence) =>
          new WorkerLink(scope, "/worker.js", SETTINGS, environment, listener, presence),
      );
    }
    this.tab = new Tab({ environment, links, onOtherUser: () => this.session.follow() });
    this.tab.subscribe("orders", (change) => this.#onOrders(change));
    for (const symbol of SYMBOLS) this.tab.subscribe(`prices:${symbol}`, () => {});
    this.tab.offerToAnnounce();
    this.tab.user.subscribe(() => {
      this.#told = new Set();
      this.#completeFrom = null;
    });
  }

  get isRunning(): boolean {
    return !this.process.isDead && !this.process.isFrozen;
  }

  get executions(): string[] {
    const { state } = this.tab.view("orders");
    return [...(state as OrdersState).trades.byKey.keys()];
  }

  /** Look at the screen, as a person may at any moment at which the tab runs. */
  look(): void {
    const isCurrent = this.tab.isCurrent.get();
    if (!isCurrent) this.currentSince = null;
    else this.currentSince ??= this.#world.awakeMs;
    if (isCurrent) this.#checkPrices();
  }

  /** The executions that the view should have and has not. */
  missing(): string[] {
    const user = this.tab.user.get();
    if (user === null || this.#completeFrom === null) return [];
    const from = this.#completeFrom;
    const has = new Set(this.executions);
    return this.#edge.log
      .filter((entry) => entry.user === user && entry.sequence > from && !has.has(entry.tradeId))
      .map((entry) => entry.tradeId);
  }

  setVisible(isVisible: boolean): void {
    this.isVisible = isVisible;
    this.page.emit("visibility");
  }

  #checkPrices(): void {
    const { quotes } = this.tab.view("prices:IBM").state as PricesState;
    for (const symbol of SYMBOLS) {
      const received = quotes.get(symbol);
      if (received === undefined) continue;
      const { publishedAt } = received.quote as unknown as { publishedAt: number };
      const age = this.#world.now() - publishedAt;
      if (age > MAX_CURRENT_AGE_MS)
        this.mistakes.push(`${symbol} is live and ${Math.round(age)} ms old`);
    }
  }

  #onOrders({ view, events, announces }: TopicChange): void {
    for (const event of events ?? []) {
      if (event.type === "trade:new") this.#onTrade(event.data as { tradeId: string }, announces);
    }
    this.#checkOwners();
    // A page that stood still asks for lists anew: what was before another hub began is not there.
    if (events === null && this.wasAway) this.#completeFrom = null;
    if (events === null && view.phase === "complete") this.wasAway = false;
    if (view.phase === "complete") this.#completeFrom ??= Number(view.position.slice(2));
    if (view.phase !== "complete" && view.resets > 0) this.#completeFrom = null;
  }

  #onTrade({ tradeId }: { tradeId: string }, announces: boolean): void {
    if (this.#told.has(tradeId)) this.mistakes.push(`${tradeId} came twice`);
    this.#told.add(tradeId);
    if (announces) this.announced.push(tradeId);
  }

  #checkOwners(): void {
    const user = this.tab.user.get();
    for (const tradeId of this.executions) {
      const entry = this.#edge.log[Number(tradeId.slice(2)) - 1];
      if (entry?.user !== user) this.mistakes.push(`${user} sees ${tradeId} of ${entry?.user}`);
    }
  }

  #callSession(method: string, body: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#world.schedule(this.process, 5 + this.#world.random() * 10, () => {
        if (method === "POST") this.#edge.signIn((body as { userId: string }).userId);
        if (method === "DELETE") this.#edge.signIn(null);
        const { user, isDown } = this.#edge;
        this.#world.schedule(this.process, 5, () => {
          if (isDown) reject(new TypeError("Failed to fetch"));
          else if (method === "DELETE") resolve(undefined);
          else if (user !== null) resolve({ userId: user, roles: [], expiresAt: null });
          else
            reject(new ApiError({ error: "Unauthorized", message: "no", statusCode: 401 }, null));
        });
      });
    });
  }
}

function environmentOf(sim: SimTab, world: World, edge: FakeEdge): TabEnvironment {
  const { process } = sim;
  return {
    ...hubEnvironmentOf(process, world, edge),
    tabId: process.name,
    locks: world.locksOf(process),
    openChannel: (name, onMessage) => world.openChannel(process, name, onMessage),
    openWorker: (_url, name, onMessage) =>
      world.openWorker(
        process,
        name,
        (worker) => {
          const hub = new WorkerHub(hubEnvironmentOf(worker, world, edge), world.locksOf(worker));
          return (post) => hub.connect(post);
        },
        onMessage,
      ),
    readShared: (key) => world.shared.get(key) ?? null,
    writeShared: (key, value) => void world.shared.set(key, value),
    isVisible: () => sim.isVisible,
    onPageEvent: (listener) => sim.page.add(listener),
  };
}

function hubEnvironmentOf(process: Process, world: World, edge: FakeEdge) {
  return {
    setTimeout: (run: () => void, milliseconds: number) =>
      world.schedule(process, milliseconds + world.random() * 4, run),
    clearTimeout: (timer: unknown) => {
      if (timer) world.cancel(timer as never);
    },
    performance: { now: () => world.awakeMs },
    now: () => world.now(),
    random: world.random,
    connect: edge.connectIn(process),
    fetch: undefined,
  };
}
