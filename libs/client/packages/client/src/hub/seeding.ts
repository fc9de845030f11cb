/**
 * What a new hub continues from: the views that tabs have of the hub before it.
 *
 * A stream resumes after one position, so it begins at the lowest one of the lossless views. Topics
 * without a complete view are added to the stream afterwards, by which they get a snapshot.
 */

import type { TopicView } from "../source.js";
import { isLossless, viewName } from "../topics.js";
import { areComparable, isLater } from "./positions.js";

export interface Beginning {
  /** The topics to open the stream with. */
  readonly topics: readonly string[];
  /** The position to resume after; "" for a snapshot of everything. */
  readonly position: string;
  /** The views to continue from. */
  readonly views: ReadonlyMap<string, TopicView>;
}

/** @param topics  sorted */
export function beginningOf(
  topics: readonly string[],
  views: ReadonlyMap<string, TopicView>,
): Beginning {
  const latest = latestPosition(topics, views);
  const kept = new Map<string, TopicView>();
  const opened: string[] = [];
  let position = latest;
  for (const topic of topics) {
    const name = viewName(topic);
    const view = views.get(name);
    if (!isLossless(topic)) {
      opened.push(topic);
      if (view !== undefined) kept.set(name, view);
    } else if (view !== undefined && canContinue(view) && areComparable(view.position, latest)) {
      opened.push(topic);
      kept.set(name, view);
      if (isLater(position, view.position)) position = view.position;
    }
  }
  return latest === ""
    ? { topics, position: "", views: kept }
    : { topics: opened, position, views: kept };
}

function canContinue(view: TopicView): boolean {
  return view.phase === "complete" && view.position !== "";
}

function latestPosition(topics: readonly string[], views: ReadonlyMap<string, TopicView>): string {
  let latest = "";
  for (const topic of topics) {
    const view = views.get(viewName(topic));
    if (view === undefined || !isLossless(topic) || !canContinue(view)) continue;
    if (latest === "" || isLater(view.position, latest)) latest = view.position;
  }
  return latest;
}

/** For each tab, the views that it is to give: of each view the one that is furthest. */
export function chooseGivers(
  tabs: Iterable<{
    readonly tab: string;
    readonly position: string;
    readonly has: readonly string[];
  }>,
): Map<string, string[]> {
  const best = new Map<string, { tab: string; position: string }>();
  for (const { tab, position, has } of tabs) {
    for (const name of has) {
      const other = best.get(name);
      if (other === undefined || isLater(position, other.position))
        best.set(name, { tab, position });
    }
  }
  const givers = new Map<string, string[]>();
  for (const [name, { tab }] of best) givers.set(tab, [...(givers.get(tab) ?? []), name]);
  return givers;
}
