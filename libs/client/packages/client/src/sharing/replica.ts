/**
 * A tab's copy of the hub's views.
 *
 * It follows the numbered frames of one outlet of the newest hub. A frame that is missing, or another
 * hub, means that the views are asked for again; until they are there the old ones stay. Views that
 * depend on the user are followed only while hub and tab have the same one.
 */

import type { HubHeader, HubMessage } from "../hub/messages.js";
import { areComparable, isLater } from "../hub/positions.js";
import type { StreamEvent, TopicView } from "../source.js";
import { applyEvents, concerns, dependsOnUser, emptyView } from "../topics.js";
import { restrictEvent, restrictView } from "./restrict.js";

export interface ViewChange {
  readonly name: string;
  readonly view: TopicView;
  readonly events: readonly StreamEvent[] | null;
}

export interface Receipt {
  /** `lost`: introduce the tab to the hub again; `ignored`: not for this tab. */
  readonly result: "applied" | "ignored" | "lost";
  readonly changes: readonly ViewChange[];
}

const IGNORED: Receipt = { result: "ignored", changes: [] };
const LOST: Receipt = { result: "lost", changes: [] };

type Frame = Extract<HubMessage, { kind: "frame" }>;
type Views = Extract<HubMessage, { kind: "views" }>;

export class Replica {
  readonly #views = new Map<string, TopicView>();
  /** The views that follow the frames. */
  readonly #following = new Set<string>();
  #topics: readonly string[] = [];
  #names: ReadonlySet<string> = new Set();
  #userId: string | null = null;
  #term = -1;
  #outlet = "";
  /** The number of the outlet's next frame; null: the views must come first. */
  #next: number | null = null;
  #header: HubHeader | null = null;

  constructor(readonly tab: string) {}

  get term(): number {
    return this.#term;
  }

  /** Of the last message that was applied; null before the first one. */
  get header(): HubHeader | null {
    return this.#header;
  }

  /** Whether frames are followed: the views are those of the hub. */
  get isFollowing(): boolean {
    return this.#next !== null;
  }

  /** The wanted views that do not follow the frames. */
  get missing(): string[] {
    return [...this.#names].filter((name) => !this.#following.has(name));
  }

  /** The names of complete views, from which another hub can continue. */
  get complete(): string[] {
    return [...this.#views.keys()].filter((name) => this.view(name).phase === "complete");
  }

  view(name: string): TopicView {
    let view = this.#views.get(name);
    if (view === undefined) {
      view = emptyView(name);
      this.#views.set(name, view);
    }
    return view;
  }

  viewsOf(names: readonly string[]): Record<string, TopicView> {
    return Object.fromEntries(names.map((name) => [name, this.view(name)]));
  }

  /** @returns what changed because topics are not wanted any more */
  setTopics(topics: readonly string[], names: ReadonlySet<string>): ViewChange[] {
    this.#topics = topics;
    this.#names = names;
    for (const name of [...this.#views.keys()].filter((one) => !names.has(one))) {
      this.#views.delete(name);
      this.#following.delete(name);
    }
    const prices = this.#views.get("prices");
    return prices === undefined ? [] : this.#put("prices", restrictView(prices, topics), null);
  }

  /** @returns the views that depend on the user, which are empty now if it is another one */
  setUser(userId: string | null): ViewChange[] {
    if (userId === this.#userId) return [];
    this.#userId = userId;
    const changes: ViewChange[] = [];
    for (const name of [...this.#views.keys()].filter(dependsOnUser)) {
      this.#following.delete(name);
      changes.push(...this.#put(name, emptyView(name), null));
    }
    return changes;
  }

  /** Another hub, or a gap: the views must come first. */
  rejoin(term = this.#term): void {
    this.#term = term;
    this.#next = null;
    this.#following.clear();
  }

  receive(message: Frame | Views): Receipt {
    if (message.term < this.#term) return IGNORED;
    if (message.term > this.#term) {
      this.rejoin(message.term);
      if (message.kind === "frame") return LOST;
    }
    return message.kind === "frame" ? this.#receiveFrame(message) : this.#receiveViews(message);
  }

  #receiveFrame(frame: Frame): Receipt {
    if (this.#next === null || frame.outlet !== this.#outlet || frame.number < this.#next)
      return IGNORED;
    if (frame.number > this.#next) {
      this.rejoin();
      return LOST;
    }
    this.#next += 1;
    this.#followUser(frame);
    const changes: ViewChange[] = [];
    for (const name of this.#following) {
      const events = this.#eventsOf(name, frame.events);
      if (events.length > 0)
        changes.push(...this.#put(name, applyEvents(name, this.view(name), events), events));
    }
    return { result: "applied", changes };
  }

  #eventsOf(name: string, events: readonly StreamEvent[]): StreamEvent[] {
    const { position } = this.view(name);
    const own = events.filter((event) => {
      const isRepeated =
        event.id !== null && areComparable(event.id, position) && !isLater(event.id, position);
      return !isRepeated && concerns(name, event);
    });
    if (name !== "prices") return own;
    return own.map((event) => restrictEvent(event, this.#topics)).filter((event) => event !== null);
  }

  #receiveViews(message: Views): Receipt {
    if (message.tab !== this.tab) return IGNORED;
    this.#outlet = message.outlet;
    this.#next = message.number + 1;
    this.#followUser(message);
    const changes: ViewChange[] = [];
    for (const [name, view] of Object.entries(message.views)) {
      if (!this.#names.has(name) || (dependsOnUser(name) && !this.#isSameUser(message))) continue;
      this.#following.add(name);
      if (this.#isAhead(name, view)) continue;
      changes.push(
        ...this.#put(name, name === "prices" ? restrictView(view, this.#topics) : view, null),
      );
    }
    return { result: "applied", changes };
  }

  /** The hub resumed from a tab that has less: events that this one has are repeated to it. */
  #isAhead(name: string, view: TopicView): boolean {
    const { position, resets } = this.view(name);
    return view.phase === "complete" && resets === view.resets && isLater(position, view.position);
  }

  /** What another user is shown is not followed. */
  #followUser(message: Frame | Views): void {
    this.#header = message;
    if (this.#isSameUser(message)) return;
    for (const name of this.#following) if (dependsOnUser(name)) this.#following.delete(name);
  }

  #isSameUser({ user }: HubHeader): boolean {
    return user !== null && user.userId === this.#userId;
  }

  #put(name: string, view: TopicView, events: readonly StreamEvent[] | null): ViewChange[] {
    const before = this.view(name);
    if (view === before) return [];
    this.#views.set(name, view);
    const isSame =
      before.state === view.state && before.phase === view.phase && before.resets === view.resets;
    return isSame ? [] : [{ name, view, events }];
  }
}
