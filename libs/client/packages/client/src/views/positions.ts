/** Positions and the account: the views of the topics `positions` and `account`. */

import type { Account, Position, Positions, PositionsSnapshot, Quote } from "../generated/types.js";
import type { StreamEvent } from "../source.js";
import type { Fold } from "./fold.js";
import { noRows, type Rows, RowsDraft, replaceFields } from "./rows.js";

export interface PositionsState {
  readonly positions: Rows<Position>;
  /** The value of all positions in dollars, null if it is not known. */
  readonly totalValue: number | null;
}

function isSnapshot(event: StreamEvent): boolean {
  return event.type === "position:update" && (event.data as PositionsSnapshot).snapshot === true;
}

/** A change after a trade has an id. One after a change of prices has none, and keeps the row's. */
export const POSITIONS: Fold<PositionsState> = {
  types: ["position:update", "price:stale"],
  empty: { positions: noRows(), totalValue: null },
  isSnapshot,
  apply(state, events) {
    const draft = new RowsDraft(state.positions);
    let { totalValue } = state;
    for (const event of events) {
      if (event.type === "price:stale") {
        draft.revise((event.data as Quote).symbol, markStale);
        continue;
      }
      const update = event.data as Positions;
      for (const one of update.positions)
        draft.put(one.symbol, one, event.id ?? "", event.id ?? "");
      if (isSnapshot(event)) draft.keepOnly(update.positions.map((position) => position.symbol));
      totalValue = update.totalValue;
    }
    return replaceFields(state, { positions: draft.finish(), totalValue });
  },
};

function markStale(position: Position): Position {
  return position.quantity === 0 ? position : { ...position, stale: true };
}

export const ACCOUNT: Fold<Account | null> = {
  types: ["account:update"],
  empty: null,
  isSnapshot: () => true,
  apply: (state, events) => (events.at(-1)?.data as Account | undefined) ?? state,
  reset: (state) => state,
};
