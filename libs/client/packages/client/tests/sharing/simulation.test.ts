/**
 * Many tabs of one browser, in virtual time, with everything that happens to tabs: they are frozen,
 * closed, crash, sleep, sign in and out. A seed repeats a run: SEED=7 npx vitest
 * run simulation; SEEDS=100 runs more of them.
 */

import { describe, expect, test } from "vitest";

import { FakeEdge, SYMBOLS } from "./fake-edge.js";
import { type Mode, SimTab } from "./sim-tab.js";
import { seededRandom, World } from "./world.js";

const COUNT = Number(process.env.SEEDS ?? 4);
const SEEDS = process.env.SEED
  ? [Number(process.env.SEED)]
  : Array.from({ length: COUNT }, (_, index) => index + 1);
/** A tab that is visible shows current prices again so long after a disturbance. */
const RECOVERY_MS = 2_000;

/** Allows for a slow or busy machine. */
const TIMEOUT_MS = 60_000;

class Simulation {
  readonly random: () => number;
  readonly world: World;
  readonly edge: FakeEdge;
  readonly tabs: SimTab[] = [];
  readonly history: string[] = [];
  /** When something last happened that may interrupt the prices of running tabs. */
  #disturbedAt = 0;
  #made = 0;
  /** Nobody trades any more. */
  isQuiet = false;

  constructor(
    readonly mode: Mode,
    seed: number,
  ) {
    this.random = seededRandom(seed);
    this.world = new World(this.random);
    this.edge = new FakeEdge(this.world);
    this.edge.user = "dave";
    this.world.afterTask = () => this.#look();
    this.#quotes();
    this.#trades();
  }

  get running(): SimTab[] {
    return this.tabs.filter((tab) => tab.isRunning);
  }

  note(what: string): void {
    this.history.push(`${Math.round(this.world.awakeMs)} ${what}`);
    this.#disturbedAt = this.world.awakeMs;
  }

  open(): SimTab {
    this.#made += 1;
    const tab = new SimTab(`tab-${this.#made}`, this.mode, this.world, this.edge);
    this.tabs.push(tab);
    this.note(`${tab.process.name} opens`);
    return tab;
  }

  /** What the tabs think, when a check fails. */
  describe(): string {
    const tabs = this.tabs.map((tab) => {
      const { process, mistakes } = tab;
      const state = process.isDead ? "dead" : process.isFrozen ? "frozen" : "runs";
      const { status, transport } = tab.tab.connection;
      const shown = JSON.stringify(status.get());
      return `${process.name} ${state} ${transport.get()} ${shown} user=${tab.tab.user.get()} missing=${tab.missing()} ${mistakes}`;
    });
    const log = this.edge.log.length;
    return [...this.history.slice(-30), `log ${log} open ${this.edge.open.length}`, ...tabs].join(
      "\n",
    );
  }

  check(): void {
    for (const tab of this.tabs) {
      if (tab.mistakes.length > 0)
        throw new Error(`${tab.process.name}: ${tab.mistakes[0]}\n${this.describe()}`);
    }
    if (this.world.awakeMs - this.#disturbedAt < RECOVERY_MS + 200) return;
    // A tab that opens waits longer for a worker that stands still: its script might be loading.
    const isSlow = this.world.workers().some((worker) => worker.isFrozen);
    if (isSlow && this.world.awakeMs - this.#disturbedAt < 5_000 + RECOVERY_MS) return;
    for (const tab of this.running) {
      if (tab.isVisible && tab.currentSince === null) {
        throw new Error(`${tab.process.name} has no current prices\n${this.describe()}`);
      }
    }
  }

  #look(): void {
    for (const tab of this.running) tab.look();
  }

  #quotes(): void {
    this.world.schedule(null, 100, () => {
      this.edge.quote();
      this.#quotes();
    });
  }

  #trades(): void {
    this.world.schedule(null, this.random() * 200, () => {
      if (this.edge.user !== null && !this.isQuiet) this.edge.trade(this.edge.user);
      if (this.random() < 0.2 && !this.isQuiet) this.edge.trade("somebody");
      this.#trades();
    });
  }
}

type Action = (simulation: Simulation, pick: SimTab) => void;

const ACTIONS: Readonly<Record<string, Action>> = {
  open: (simulation) => simulation.tabs.length < 12 && void simulation.open(),
  close(simulation, { process, page }) {
    page.emit("leave");
    simulation.world.schedule(process, 2, () => simulation.world.kill(process));
  },
  crash: (simulation, { process }) => simulation.world.kill(process),
  freeze(simulation, tab) {
    // Some pages are told of it, and some stand still at once.
    if (simulation.random() < 0.5) tab.page.emit("leave");
    tab.wasAway = true;
    simulation.world.freeze(tab.process);
  },
  hide: (_, tab) => tab.setVisible(!tab.isVisible),
  "stop the worker"({ world, random }) {
    const worker = world.workers().at(-1);
    if (worker === undefined) return;
    if (random() < 0.5) world.kill(worker);
    else world.freeze(worker);
  },
  sleep({ world, edge }) {
    world.sleptMs += 20_000;
    // The server does not sleep.
    for (const symbol of SYMBOLS) edge.quotedAt.set(symbol, world.now());
  },
  cut: ({ edge }) => edge.cut(),
  "sign in": ({ random }, { session }) =>
    void session.signIn(random() < 0.5 ? "erin" : "dave").catch(() => {}),
  "sign in elsewhere"({ edge }) {
    // Nothing tells tabs without a private stream of it.
    if (edge.open.some((one) => one.topics.includes("orders"))) edge.signIn("frank");
  },
  "sign out": (_, { session }) => void session.signOut().catch(() => {}),
};

function thawSome({ tabs, world, random }: Simulation): void {
  for (const { process, page } of tabs) {
    if (!process.isFrozen || process.isDead || random() < 0.5) continue;
    world.thaw(process);
    world.schedule(process, 1, () => page.emit("return"));
  }
}

function act(simulation: Simulation): void {
  const { random, running, tabs } = simulation;
  const names = Object.keys(ACTIONS);
  const name = names[Math.floor(random() * names.length)] as string;
  const pick = running[Math.floor(random() * running.length)] ?? simulation.open();
  simulation.note(`${name} ${pick.process.name}`);
  ACTIONS[name]?.(simulation, pick);
  // Another session, also of the same user, begins with views of its own.
  if (name.startsWith("sign")) for (const tab of tabs) tab.wasAway = true;
}

async function run(mode: Mode, seed: number): Promise<Simulation> {
  const simulation = new Simulation(mode, seed);
  const { world, random } = simulation;
  for (let count = 0; count < 4; count += 1) simulation.open();
  await world.advance(3_000);
  simulation.check();
  for (let round = 0; round < 25; round += 1) {
    act(simulation);
    // Losses are rare: a transport loses what it has for a page that is in the cache.
    world.lossRate = random() < 0.2 ? 0.02 : 0;
    if (world.lossRate > 0) simulation.note("messages are lost");
    const until = world.awakeMs + 200 + random() * 4_000;
    while (world.awakeMs < until) {
      await world.advance(100);
      if (world.lossRate > 0) simulation.note("messages are lost");
      simulation.check();
    }
    if (random() < 0.4) {
      thawSome(simulation);
      simulation.note("thaw");
    }
  }
  await settle(simulation);
  return simulation;
}

/** Everything is well again, and has time. */
async function settle(simulation: Simulation): Promise<void> {
  const { world, tabs, edge } = simulation;
  world.lossRate = 0;
  for (const { process, page } of tabs) {
    if (!process.isFrozen || process.isDead) continue;
    world.thaw(process);
    world.schedule(process, 1, () => page.emit("return"));
  }
  for (const worker of world.workers()) world.thaw(worker);
  simulation.note("the end");
  if (simulation.running.length === 0) simulation.open();
  await world.advance(8_000);
  simulation.check();
  // Hidden tabs have everything a second later.
  simulation.isQuiet = true;
  await world.advance(2_000);
  const told = simulation.describe();
  for (const tab of simulation.running) {
    expect(tab.tab.user.get(), told).toBe(edge.user);
    expect(tab.missing(), told).toEqual([]);
    expect(tab.tab.view("prices:IBM").phase, told).toBe("complete");
  }
  expect(edge.open.length, told).toBe(1);
}

describe.each(["worker", "leader"] as const)("tabs that share by %s", (mode) => {
  test.each(SEEDS)(
    "lose nothing, and show nothing old as current: seed %i",
    async (seed) => {
      await run(mode, seed);
    },
    TIMEOUT_MS,
  );
});
