/** Lists of stream and pages are what the server has, however the two interleave. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Trade } from "../src/generated/types.js";
import { createStores, type Stores } from "../src/stores/index.js";
import { correctTrade } from "../src/views/orders.js";
import { event, random } from "./events.js";
import { FakeCalls, FakeSource, listen } from "./fake-source.js";
import { ModelServer } from "./model-server.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** The executions of the server, one row a trade, as they count after corrections. */
function executions(rows: readonly Trade[]): Trade[] {
  const byId = new Map<string, Trade>();
  for (const row of rows) {
    const known = byId.get(row.tradeId);
    byId.set(row.tradeId, known === undefined ? row : correctTrade(known, row));
  }
  return [...byId.values()].reverse();
}

class Trial {
  readonly server = new ModelServer();
  readonly source = new FakeSource();
  readonly calls = new FakeCalls();
  readonly stores: Stores = createStores({
    source: this.source,
    call: this.calls.call,
    now: Date.now,
  });
  readonly #random: () => number;
  #sent = 0;
  #answered = 0;

  constructor(seed: number) {
    this.#random = random(seed);
    for (let n = 0; n < 12; n++) this.server.change(this.#random);
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  /** A stream opens. */
  connect(): void {
    this.#sent = this.server.log.length;
    this.source.send(...this.server.opening());
  }

  /** The stream sends some of what happened, and some of it twice. */
  send(count = Math.ceil(this.#random() * 4)): void {
    const from = this.chance(0.3) ? Math.max(0, this.#sent - 3) : this.#sent;
    this.#sent = Math.min(this.server.log.length, this.#sent + count);
    this.source.send(...this.server.log.slice(from, this.#sent));
  }

  /** The server could not resume. */
  reset(): void {
    this.#sent = this.server.log.length;
    const reset = event("stream:reset", { reason: "epoch" });
    this.source.send(reset, ...this.server.opening().slice(1));
  }

  /** A call is answered, by a process that may be behind, or it fails. */
  async answer(isSure = false): Promise<void> {
    const call = this.calls.made[this.#answered];
    if (call === undefined) return;
    this.#answered += 1;
    const lag = isSure ? 0 : Math.floor(this.#random() * 4);
    const answer = this.server.answer(call.path, lag);
    if (!isSure && this.chance(0.15)) call.fail(new Error("away"));
    else if (answer instanceof Error) call.fail(answer);
    else call.answer(answer);
    await vi.advanceTimersByTimeAsync(0);
  }

  async step(): Promise<void> {
    if (this.chance(0.5)) this.server.change(this.#random);
    if (this.chance(0.4)) this.send();
    if (this.chance(0.4)) await this.answer();
    if (this.chance(0.2)) void this.stores.orders.loadMore().catch(() => {});
    if (this.chance(0.2)) void this.stores.trades.loadMore().catch(() => {});
    if (this.chance(0.02)) this.reset();
    if (this.chance(0.01)) {
      this.server.replaceJournal();
      this.reset();
    }
    if (this.chance(0.03)) this.source.replace("orders", { ...this.source.view("orders") });
    await vi.advanceTimersByTimeAsync(this.chance(0.1) ? 3_000 : 10);
  }

  /** Everything arrives, and all pages are loaded. */
  async finish(): Promise<void> {
    this.send(10_000);
    const { orders, trades } = this.stores;
    for (let n = 0; n < 400; n++) {
      await this.answer(true);
      await vi.advanceTimersByTimeAsync(500);
      if (this.#answered < this.calls.made.length) continue;
      const isReady = [orders, trades].every((list) => list.status.get().name === "ready");
      if (isReady && !orders.hasMore.get() && !trades.hasMore.get()) return;
      for (const list of [orders, trades]) {
        if (list.status.get().name !== "loading") void list.loadMore().catch(() => {});
      }
    }
    throw new Error("the lists do not become ready");
  }
}

test.each(Array.from({ length: 80 }, (_, n) => n + 1))("seed %i", async (seed) => {
  const trial = new Trial(seed);
  const { orders, trades } = trial.stores;
  const stop = listen(orders.keys, trades.keys);
  if (trial.chance(0.2)) await vi.advanceTimersByTimeAsync(2_500); // a page before the stream
  trial.connect();
  for (let n = 0; n < 60; n++) await trial.step();
  await trial.finish();
  const { now } = trial.server;
  expect(orders.keys.get().map((id) => orders.get(id))).toEqual([...now.orders].reverse());
  expect(trades.keys.get().map((id) => trades.get(id))).toEqual(executions(now.trades));
  stop();
  trial.stores.close();
});
