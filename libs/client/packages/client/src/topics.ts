/**
 * The topics of a stream: their names, who may read them, and the views that they are folded into.
 *
 * A view is made of the events of one topic. All topics of quotes share the view `prices`; every
 * series of bars has its own. The hub and the tabs apply the same events by `applyEvents`, so the same
 * events give the same view everywhere. Everything here is pure. Start reading at `applyEvents`.
 */

import { isNews } from "./position.js";
import type { StreamEvent, TopicView } from "./source.js";
import type { Fold, ShownTopics } from "./views/fold.js";
import {
  AGENTS,
  ALERT_RULES,
  ALERTS,
  CONFIGURATIONS,
  CONNECTION_COUNTS,
  DECISIONS,
  ITEM_METRICS,
  ITEMS,
  NOTIFICATIONS,
  STRATEGIES,
} from "./views/lists.js";
import { ORDERS } from "./views/orders.js";
import { ACCOUNT, POSITIONS } from "./views/positions.js";
import { barsFold, PRICES } from "./views/prices.js";
import { replaceFields } from "./views/rows.js";

const FOLDS = {
  orders: ORDERS,
  positions: POSITIONS,
  account: ACCOUNT,
  prices: PRICES,
  "ai-decisions": DECISIONS,
  strategies: STRATEGIES,
  alerts: ALERTS,
  "alert-rules": ALERT_RULES,
  notifications: NOTIFICATIONS,
  configurations: CONFIGURATIONS,
  items: ITEMS,
  "item-metrics": ITEM_METRICS,
  agents: AGENTS,
  connections: CONNECTION_COUNTS,
} as const;

/** The topics that need no session. */
const PUBLIC: ReadonlySet<string> = new Set([
  "prices",
  "bars",
  "items",
  "item-metrics",
  "connections",
  "agents",
]);
/** Of these, the topics that show more to some users. */
const PARTLY_PRIVATE: ReadonlySet<string> = new Set(["connections", "agents"]);
/** Topics whose events have no ids: a stream of these alone does not resume. */
const WITHOUT_IDS: ReadonlySet<string> = new Set([
  "prices",
  "bars",
  "account",
  "item-metrics",
  "connections",
]);

/**
 * Events about the stream itself that change every view. `stream:live` is the hub's own: everything
 * that the stream opens with was sent.
 */
const CONTROL: ReadonlySet<string> = new Set([
  "connected",
  "stream:updated",
  "stream:reset",
  "stream:live",
  "checkpoint",
]);

export class UnknownTopic extends Error {
  constructor(readonly topic: string) {
    super(`there is no topic ${JSON.stringify(topic)}`);
    this.name = "UnknownTopic";
  }
}

/** The part of a topic's name before the first colon. */
function kindOf(topic: string): string {
  const colon = topic.indexOf(":");
  return colon < 0 ? topic : topic.slice(0, colon);
}

/** The name of the view that a topic is folded into: its own, but `prices` for `prices:SPY`. */
export function viewName(topic: string): string {
  return topic.startsWith("prices:") ? "prices" : topic;
}

/** Whether a topic needs a session. */
export function isPrivate(topic: string): boolean {
  return !PUBLIC.has(kindOf(topic));
}

/** Whether what a topic shows depends on who is signed in, so that nobody else may see it. */
export function dependsOnUser(topic: string): boolean {
  return isPrivate(topic) || PARTLY_PRIVATE.has(topic);
}

/** Whether a topic has events with ids, from which it resumes. */
export function isLossless(topic: string): boolean {
  return !WITHOUT_IDS.has(kindOf(topic));
}

const barFolds = new Map<string, Fold<unknown>>();

function foldOf(name: string): Fold<unknown> {
  if (Object.hasOwn(FOLDS, name)) return FOLDS[name as keyof typeof FOLDS] as Fold<unknown>;
  // A symbol may have colons, an interval has none.
  const [, symbol, interval] = /^bars:(.+):([^:]+)$/.exec(name) ?? [];
  if (symbol === undefined || interval === undefined) throw new UnknownTopic(name);
  let fold = barFolds.get(name);
  if (fold === undefined) {
    fold = barsFold(symbol, interval) as Fold<unknown>;
    barFolds.set(name, fold);
  }
  return fold;
}

/**
 * A view without any event. It is `new`: it is complete once a connection that shows it from its
 * beginning has opened, or `stream:updated` says that its snapshot was sent.
 *
 * @param position  that of the connection to which the topic is added
 * @throws UnknownTopic
 */
export function emptyView(name: string, position = ""): TopicView {
  return { state: foldOf(name).empty, position, phase: "new", resets: 0 };
}

/** Whether a view changes by the event, its position left out. */
export function concerns(name: string, event: StreamEvent): boolean {
  return CONTROL.has(event.type) || isOwn(foldOf(name), event);
}

function isOwn(fold: Fold<unknown>, event: StreamEvent): boolean {
  return fold.types.includes(event.type) && (fold.concerns?.(event) ?? true);
}

/** Whether a stream of these topics has everything that the view shows. */
function isShown(name: string, topics: readonly string[]): boolean {
  return topics.some((topic) => viewName(topic) === name);
}

/** The view as of a later id, when no event up to there concerns it. */
export function advanceTo(view: TopicView, position: string): TopicView {
  return isNews(position, view.position) ? { ...view, position } : view;
}

/**
 * The view after events of a stream, which may be those of all topics: others only move its position.
 * Events that are not later than the position are left out, so events may be repeated. The same view
 * if nothing changed.
 */
export function applyEvents(
  name: string,
  view: TopicView,
  events: readonly StreamEvent[],
): TopicView {
  const draft = new ViewDraft(name, view);
  for (const event of events) draft.apply(event);
  return draft.finish();
}

/** A view to which events are applied, its own in batches. */
class ViewDraft {
  readonly #name: string;
  readonly #fold: Fold<unknown>;
  readonly #view: TopicView;
  #state: unknown;
  #position: string;
  #phase: TopicView["phase"];
  #resets: number;
  #batch: StreamEvent[] = [];

  constructor(name: string, view: TopicView) {
    this.#name = name;
    this.#fold = foldOf(name);
    this.#view = view;
    this.#state = view.state;
    this.#position = view.position;
    this.#phase = view.phase;
    this.#resets = view.resets;
  }

  apply(event: StreamEvent): void {
    const { id, type } = event;
    if (id !== null && !isNews(id, this.#position)) return;
    if (type === "stream:reset") {
      this.#reset();
      return;
    }
    if (type === "connected" && this.#phase === "new") this.#phase = "opening";
    if (type === "stream:live" && this.#phase === "opening") this.#phase = "complete";
    if (type === "stream:updated") this.#takeContent(event.data as ShownTopics);
    if (isOwn(this.#fold, event)) {
      this.#batch.push(event);
      if (this.#fold.isSnapshot(event)) this.#phase = "complete";
    }
    if (id === null) return;
    this.#position = id;
    if (this.#phase === "opening") this.#phase = "complete";
  }

  finish(): TopicView {
    this.#flush();
    return replaceFields(this.#view, {
      state: this.#state,
      position: this.#position,
      phase: this.#phase,
      resets: this.#resets,
    });
  }

  #flush(): void {
    if (this.#batch.length > 0) this.#state = this.#fold.apply(this.#state, this.#batch);
    this.#batch = [];
  }

  #reset(): void {
    this.#flush();
    this.#state = this.#fold.reset === undefined ? this.#fold.empty : this.#fold.reset(this.#state);
    this.#position = "";
    this.#phase = "opening";
    this.#resets += 1;
  }

  #takeContent(content: ShownTopics): void {
    this.#flush();
    if (isShown(this.#name, content.topics)) this.#phase = "complete";
    if (this.#fold.onContent !== undefined) {
      this.#state = this.#fold.onContent(this.#state, content);
    }
  }
}
