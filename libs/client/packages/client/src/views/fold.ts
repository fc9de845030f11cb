/** What a topic's view is folded by. Folds are pure; events of other topics never reach them. */

import type { StreamEvent } from "../source.js";

export interface Fold<S> {
  /** The names of its events. */
  readonly types: readonly string[];
  readonly empty: S;
  /** The state after the events, in order. They are given together, so that a state is copied once. */
  apply(state: S, events: readonly StreamEvent[]): S;
  /** Whether the event shows all that there is, so that the view is complete after it. */
  isSnapshot(event: StreamEvent): boolean;
  /** The state after the server could not resume; `empty` by default. Values without ids stay. */
  reset?(state: S): S;
  /** The stream shows something else: forget what it does not show any more. */
  onContent?(state: S, content: ShownTopics): S;
  /** Which events of these names are its own; all of them by default. */
  concerns?(event: StreamEvent): boolean;
}

/** The content of `stream:updated`. */
export interface ShownTopics {
  readonly topics: readonly string[];
  /** Null: those of all symbols. */
  readonly symbols: readonly string[] | null;
  readonly unknown?: readonly string[];
}
