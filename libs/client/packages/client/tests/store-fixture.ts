/** Stores over a source and calls that a test controls, with fake timers. */

import { afterEach, beforeEach, expect, vi } from "vitest";
import type { StreamEvent } from "../src/source.js";
import { createStores, type Stores } from "../src/stores/index.js";
import { event, idOf, TIME } from "./events.js";
import { FakeCalls, FakeSource } from "./fake-source.js";

export interface StoreFixture {
  source: FakeSource;
  calls: FakeCalls;
  stores: Stores;
  now: number;
}

/** New stores for each test. Afterwards they must have released all topics and timers. */
export function installStores(): StoreFixture {
  const fixture = {} as StoreFixture;
  beforeEach(() => {
    vi.useFakeTimers();
    const [source, calls] = [new FakeSource(), new FakeCalls()];
    const stores = createStores({ source, call: calls.call, now: () => fixture.now });
    Object.assign(fixture, { source, calls, stores, now: 10_000 });
  });
  afterEach(() => {
    fixture.stores.close();
    expect(fixture.source.topics).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });
  return fixture;
}

/** Let answers arrive. */
export async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

export function snapshot(sequence: number, ...orders: unknown[]): StreamEvent {
  return event("order:update", { snapshot: true, orders, timestamp: TIME }, sequence);
}

export function ordersPage(sequence: number, orders: unknown[], next?: string): unknown {
  return { orders, asOf: idOf(sequence), ...(next && { next }) };
}
