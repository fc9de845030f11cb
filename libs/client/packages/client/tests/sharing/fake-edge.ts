/**
 * An edge for simulations: a journal, sessions, quotes, and streams that resume by id.
 *
 * `FakeConnection` stands for `Connection` of the engine, which has tests of its own: it has the same
 * interface, states and delays, and its events arrive in the process of its hub.
 */

import { ApiError } from "../../src/rest.js";
import type { connect } from "../../src/tapewire.js";
import type { ConnectOptions, State, StreamContent } from "../../src/types.js";
import type { Process } from "./process.js";
import type { World } from "./world.js";

export interface LogEntry {
  readonly sequence: number;
  readonly user: string;
  readonly tradeId: string;
}

const PRIVATE = new Set(["orders"]);
export const SYMBOLS = ["IBM", "SPY"];
/** A stream with prices that is silent for this long is not current. */
const SILENCE_MS = 3_000;

export class FakeEdge {
  readonly log: LogEntry[] = [];
  /** Epoch milliseconds at which each symbol was last quoted. */
  readonly quotedAt = new Map<string, number>();
  /** Whose session the browser's cookie is of. */
  user: string | null = null;
  /** It accepts nothing and closes everything. */
  isDown = false;
  /** Its process stands still. */
  isStopped = false;
  readonly connections = new Set<FakeConnection>();
  opened = 0;
  refused = 0;

  constructor(readonly world: World) {}

  get head(): string {
    return `e-${this.log.length}`;
  }

  trade(user: string): void {
    const sequence = this.log.length + 1;
    this.log.push({ sequence, user, tradeId: `t-${sequence}` });
    this.#each((connection) => connection.onTrade(this.log[sequence - 1] as LogEntry));
  }

  quote(): void {
    if (this.isStopped) return;
    for (const symbol of SYMBOLS) this.quotedAt.set(symbol, this.world.now());
    this.#each((connection) => connection.onQuotes());
  }

  signIn(user: string | null): void {
    this.user = user;
    this.#each((connection) => connection.onSessionEnd());
  }

  cut(): void {
    this.#each((connection) => connection.onCut());
  }

  connectIn(process: Process): typeof connect {
    return ((url: string, options: ConnectOptions) =>
      new FakeConnection(this, process, url, options)) as unknown as typeof connect;
  }

  /** The streams of processes that live. */
  get open(): FakeConnection[] {
    for (const connection of this.connections) {
      if (connection.process.isDead) this.connections.delete(connection);
    }
    return [...this.connections];
  }

  #each(act: (connection: FakeConnection) => void): void {
    if (!this.isStopped) for (const connection of this.open) act(connection);
  }
}

export class FakeConnection {
  state: State = { name: "connecting", tries: 0 };
  lastEventId: string;
  topics: string[];
  isOpen = false;
  #isClosed = false;
  #tries = 0;
  #heardAt = 0;
  #generation = 0;

  constructor(
    readonly edge: FakeEdge,
    readonly process: Process,
    url: string,
    readonly options: ConnectOptions,
  ) {
    const names = new URL(url, "http://edge").searchParams.get("topics") ?? "";
    this.topics = names.split(",");
    this.lastEventId = options.lastEventId ?? "";
    this.#later(0, () => this.#request());
  }

  close(): void {
    this.#isClosed = true;
    this.#leave();
  }

  retryNow(): void {
    if (this.state.name === "reconnecting") this.#request();
  }

  skipTo(id: string): void {
    if (sequenceOf(id) > sequenceOf(this.lastEventId)) this.lastEventId = id;
  }

  update({ topics }: Partial<StreamContent>): Promise<StreamContent> {
    const content = { topics: topics ?? [], symbols: null, maxRate: 10 };
    return new Promise((resolve, reject) => {
      this.#later(20, () => {
        if (!this.isOpen || this.edge.isStopped) {
          const body = { error: "Not Found", message: "no stream", statusCode: 404 };
          reject(new ApiError(body, null));
          return;
        }
        const added = content.topics.filter((topic) => !this.topics.includes(topic));
        this.topics = [...content.topics];
        const head = this.edge.head;
        this.#snapshots(added, head);
        const symbols = shownSymbols(this.topics);
        const data = { topics: this.topics.map((topic) => topic.split(":")[0]), symbols };
        this.#deliver("stream:updated", data, head);
        this.#later(1, () => resolve(content));
      });
    });
  }

  onTrade({ sequence, user, tradeId }: LogEntry): void {
    if (!this.isOpen) return;
    const id = `e-${sequence}`;
    const isShown = this.topics.includes("orders") && user === this.options.user;
    if (isShown) this.#deliver("trade:new", { tradeId, symbol: "IBM", qty: 1, price: 1 }, id);
    else this.#checkpoint(id);
  }

  onQuotes(): void {
    if (!this.isOpen) return;
    for (const symbol of shownSymbols(this.topics) ?? SYMBOLS)
      this.#deliver("price:update", this.#quote(symbol), null);
  }

  onSessionEnd(): void {
    if (!this.isOpen || !this.topics.some((topic) => PRIVATE.has(topic))) return;
    this.#deliver("auth:expired", { reason: "revoked" }, null);
    this.#leave();
    this.#later(3, () => this.#setState({ name: "signed-out", reason: "the session has ended" }));
  }

  onCut(): void {
    if (!this.isOpen) return;
    this.#leave();
    this.#later(3, () => this.#fail("cut"));
  }

  #request(): void {
    this.#generation += 1;
    const generation = this.#generation;
    this.#setState({ name: "connecting", tries: this.#tries });
    this.#later(15 + this.edge.world.random() * 20, () => this.#answer(generation));
  }

  #answer(generation: number): void {
    if (generation !== this.#generation || this.state.name !== "connecting") return;
    const { edge, options } = this;
    if (edge.isDown) {
      this.#fail("refused");
    } else if (edge.isStopped) {
      this.#later(500, () => this.#answer(generation));
    } else if (this.topics.some((topic) => PRIVATE.has(topic)) && edge.user !== options.user) {
      edge.refused += 1;
      this.#setState({ name: "signed-out", reason: "account changed" });
    } else {
      this.#open();
    }
  }

  #open(): void {
    const { edge } = this;
    edge.opened += 1;
    this.isOpen = true;
    edge.connections.add(this);
    this.#tries = 0;
    this.#heardAt = edge.world.awakeMs;
    const from = this.lastEventId;
    this.#deliver("connected", { clientId: `c-${edge.opened}` }, null);
    this.#setState({ name: "live" });
    this.#snapshots(
      from === "" ? this.topics : this.topics.filter((topic) => !PRIVATE.has(topic)),
      from === "" ? edge.head : null,
    );
    if (from !== "") for (const entry of edge.log.slice(sequenceOf(from))) this.onTrade(entry);
    this.#checkpoint(edge.head);
    this.#later(2, () => this.isOpen && this.options.onCaughtUp?.());
    this.#watchSilence();
  }

  #snapshots(topics: readonly string[], id: string | null): void {
    if (topics.includes("orders")) {
      this.#deliver("order:update", { snapshot: true, orders: [] }, id);
    }
    if (topics.some((topic) => topic.startsWith("prices"))) {
      const symbols = shownSymbols(this.topics) ?? SYMBOLS;
      const prices = symbols.map((symbol) => this.#quote(symbol));
      this.#deliver("price:update", { initializing: true, prices }, null);
    }
  }

  #quote(symbol: string): object {
    return {
      symbol,
      price: 1,
      publishedAt: this.edge.quotedAt.get(symbol) ?? this.edge.world.now(),
    };
  }

  #deliver(type: string, data: unknown, id: string | null): void {
    this.#later(2, () => {
      this.#heardAt = this.edge.world.awakeMs;
      if (this.state.name === "live" && this.state.isSilent) this.#setState({ name: "live" });
      if (id !== null && sequenceOf(id) <= sequenceOf(this.lastEventId)) return;
      this.options.onEvent({ type, data, id });
      if (id !== null) this.lastEventId = id;
    });
  }

  #checkpoint(id: string): void {
    this.#later(2, () => this.skipTo(id));
  }

  #watchSilence(): void {
    this.#later(250, () => {
      if (!this.isOpen) return;
      const isSilent = this.edge.world.awakeMs - this.#heardAt > SILENCE_MS;
      if (isSilent && this.state.name === "live" && !this.state.isSilent) {
        this.#setState({ name: "live", isSilent: true });
      }
      this.#watchSilence();
    });
  }

  #fail(reason: string): void {
    this.#tries += 1;
    const retryInMs = 1_000;
    this.#setState({ name: "reconnecting", retryInMs, tries: this.#tries, reason });
    this.#later(retryInMs, () => this.state.name === "reconnecting" && this.#request());
  }

  #leave(): void {
    this.isOpen = false;
    this.edge.connections.delete(this);
  }

  #setState(state: State): void {
    this.state = state;
    this.options.onState?.(state);
  }

  #later(milliseconds: number, run: () => void): void {
    this.edge.world.schedule(this.process, milliseconds, () => {
      if (!this.#isClosed) run();
    });
  }
}

function shownSymbols(topics: readonly string[]): string[] | null {
  if (topics.includes("prices")) return null;
  return topics.filter((topic) => topic.startsWith("prices:")).map((topic) => topic.slice(7));
}

function sequenceOf(id: string): number {
  return id === "" ? 0 : Number(id.slice(2));
}
