/** The tabs of a hub: what each wants, which of them announces, and whether they are still there. */

import { mergeTopics } from "./demand.js";
import { TAB_TIMEOUT_MS, type TabState } from "./messages.js";

export interface Tab {
  readonly state: TabState;
  readonly outlet: string;
  /** Views that it has asked for and not got yet. */
  readonly needs: Set<string>;
  /** It waits for an answer, whatever that has. */
  isWaiting: boolean;
  readonly order: number;
  heardAt: number;
}

export class Tabs {
  readonly #byId = new Map<string, Tab>();
  #nextOrder = 0;

  get size(): number {
    return this.#byId.size;
  }

  values(): Iterable<Tab> {
    return this.#byId.values();
  }

  get(id: string): Tab | undefined {
    return this.#byId.get(id);
  }

  /** @returns whether its presence is new */
  put(state: TabState, outlet: string, now: number): boolean {
    const known = this.#byId.get(state.tab);
    const needs = new Set(known?.outlet === outlet ? known.needs : []);
    for (const name of state.needs) needs.add(name);
    const order = known?.order ?? this.#nextOrder++;
    this.#byId.set(state.tab, {
      state,
      outlet,
      needs,
      isWaiting: state.isNew,
      order,
      heardAt: now,
    });
    return known?.state.presence !== state.presence;
  }

  remove(id: string): void {
    this.#byId.delete(id);
  }

  /** The topics that the tabs of an outlet want, or of all outlets. */
  wants(outlet?: string): Set<string> {
    const topics = new Set<string>();
    for (const tab of this.#byId.values()) {
      if (outlet === undefined || tab.outlet === outlet)
        for (const topic of tab.state.wants) topics.add(topic);
    }
    return topics;
  }

  /** As `wants`, merged and sorted. */
  mergedWants(outlet: string): string[] {
    return mergeTopics(this.wants(outlet));
  }

  /** Of the tabs that offer it, the visible one that came first; else the first; null: none offers. */
  announcer(): string | null {
    let best: Tab | null = null;
    for (const tab of this.#byId.values()) {
      if (!tab.state.offersToAnnounce) continue;
      if (best === null || rank(tab) < rank(best)) best = tab;
    }
    return best?.state.tab ?? null;
  }

  /** The tabs that have said nothing for too long, or were heard of in the future. */
  silent(now: number): string[] {
    return [...this.#byId.values()]
      .filter((tab) => Math.abs(now - tab.heardAt) > TAB_TIMEOUT_MS)
      .map((tab) => tab.state.tab);
  }
}

function rank(tab: Tab): number {
  return (tab.state.isVisible ? 0 : Number.MAX_SAFE_INTEGER / 2) + tab.order;
}
