/** The views of a hub: one for each topic that the stream shows, and no others. */

import type { StreamEvent, TopicView } from "../source.js";
import { applyEvents, concerns, dependsOnUser, emptyView, viewName } from "../topics.js";

const RESET: StreamEvent = {
  type: "stream:reset",
  data: { reason: "epoch" },
  id: null,
  receivedAt: 0,
};

export class ViewStore {
  #views = new Map<string, TopicView>();

  get(name: string): TopicView | undefined {
    return this.#views.get(name);
  }

  /** The views as they are now. */
  all(): ReadonlyMap<string, TopicView> {
    return this.#views;
  }

  /** Continue with these views alone. */
  replace(views: ReadonlyMap<string, TopicView>): void {
    this.#views = new Map(views);
  }

  /** @param position  of the stream that shows `topics` from now on */
  add(topics: readonly string[], position: string): void {
    for (const topic of topics) {
      const name = viewName(topic);
      if (!this.#views.has(name)) this.#views.set(name, emptyView(name, position));
    }
  }

  keepOnly(topics: readonly string[]): void {
    const names = new Set(topics.map(viewName));
    for (const name of this.#views.keys()) if (!names.has(name)) this.#views.delete(name);
  }

  /** Another user is signed in: drop what may show more to the user before. */
  dropPrivate(): void {
    for (const name of this.#views.keys()) if (dependsOnUser(name)) this.#views.delete(name);
  }

  /** Begin anew with snapshots; what was before may have gaps. */
  reset(topics: readonly string[]): void {
    this.keepOnly(topics);
    for (const [name, view] of this.#views) this.#views.set(name, applyEvents(name, view, [RESET]));
    this.add(topics, "");
  }

  /** The names of the views that each event concerns. */
  namesOf(event: StreamEvent): string[] {
    return [...this.#views.keys()].filter((name) => concerns(name, event));
  }

  apply(events: readonly (readonly [StreamEvent, readonly string[]])[]): void {
    const byName = new Map<string, StreamEvent[]>();
    for (const [event, names] of events) {
      for (const name of names) {
        const own = byName.get(name);
        if (own === undefined) byName.set(name, [event]);
        else own.push(event);
      }
    }
    for (const [name, own] of byName) {
      const view = this.#views.get(name);
      if (view !== undefined) this.#views.set(name, applyEvents(name, view, own));
    }
  }
}
