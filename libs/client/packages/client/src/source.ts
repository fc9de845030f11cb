/**
 * What the stores read: the topics of the stream, as the hub has them. This module has no code.
 *
 * `hub`, `sharing` and `client.ts` implement it, the stores use it, and tests replace it. A tab has
 * one `TopicSource`, whatever holds the connection. Start reading at `TopicSource`.
 */

import type { Readable, Unsubscribe } from "./interfaces.js";

/** An event of a stream. Values and what a stream opens with have no id. */
export interface StreamEvent {
  /** "order:update", "price:update", … */
  readonly type: string;
  /** Decoded JSON. */
  readonly data: unknown;
  readonly id: string | null;
  /** Epoch milliseconds, by the clock of the browser. */
  readonly receivedAt: number;
}

/**
 * The state of a topic. It is plain data that `postMessage` can copy, and never changes: a fold
 * returns a new one in which unchanged rows are the same objects.
 */
export interface TopicView<S = unknown> {
  readonly state: S;
  /** The id of the last event that it has, "" before the first one. */
  readonly position: string;
  /**
   * `new`: it was added to a stream that was open; `opening`: a stream that shows it began; `complete`:
   * everything that a stream opens with has arrived.
   */
  readonly phase: "new" | "opening" | "complete";
  /** How often the server could not resume: rows from before may be missing. */
  readonly resets: number;
}

/** A view changed. */
export interface TopicChange<S = unknown> {
  readonly view: TopicView<S>;
  /**
   * The events that changed it, in order. Null when it was replaced: by the view of another hub, or by
   * an empty one because the account changed or everybody signed out.
   */
  readonly events: readonly StreamEvent[] | null;
  /**
   * True in one tab of the browser: the one that says what is new. While tabs and hub live, each event
   * is announced exactly once. What was sent to a tab or by a hub that then ends or stands still may
   * be announced again by another tab, or by none; lists have it in any case.
   */
  readonly announces: boolean;
}

export interface TopicSource {
  /**
   * Ask for a topic ("orders", "prices", "prices:SPY", "bars:SPY:1m", …) until the result is called.
   * The listener hears of every change of its view (`viewName(topic)` of topics.ts), after `view`
   * returns the new one: at most once a frame. It is not called before `subscribe` returns.
   */
  subscribe(topic: string, listener: (change: TopicChange) => void): Unsubscribe;
  /** The view as it is now; an empty one until the hub has sent it. The same object until it changes. */
  view(topic: string): TopicView;
  /**
   * The user whose events the views of private topics have; null when nobody is signed in. When it
   * changes, `view` is empty already, and the listeners of these topics are called afterwards.
   */
  readonly user: Readable<string | null>;
  /** Whether prices that are not stale are current: live, and not silent for too long. */
  readonly isCurrent: Readable<boolean>;
  /**
   * Let this tab be the one that announces, while it is the best of those that offer it: the visible
   * one first. Without an offer, `announces` is false in every tab.
   */
  offerToAnnounce(): Unsubscribe;
}
