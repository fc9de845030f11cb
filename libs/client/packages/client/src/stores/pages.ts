/** How rows of a stream and pages of the REST API become one list. Pure. */

import { isNews } from "../position.js";
import { noRows, type Rows, RowsDraft, UNPLACED } from "../views/rows.js";

/** A page of a list, the newest row first. */
export interface Page<V> {
  readonly rows: readonly V[];
  /** The event id that it is true for. */
  readonly asOf: string;
  /** The cursor of the next page; undefined after the last one. */
  readonly next: string | undefined;
}

/** What a list has been given. */
export interface ListState<V> {
  readonly rows: Rows<V>;
  /** The keys of the pages, in their order. */
  readonly paged: readonly string[];
  /** The id that the first page is true for; "" before it. */
  readonly firstAsOf: string;
  /** The cursor of the next page, undefined if there is none. */
  readonly next: string | undefined;
}

export interface ListRules<V> {
  readonly keyOf: (value: V) => string;
  /** The value of a row when a later one does not say all of it; the later one by default. */
  readonly combine?: ((earlier: V, later: V) => V) | undefined;
  /**
   * Rows do not change, and several have one key: the latest, which is first, is shown where the
   * earliest is. A further page then says nothing that is newer than the first one.
   */
  readonly repeats?: boolean | undefined;
  /** The page has the oldest row first, and rows that come are last. */
  readonly oldestFirst?: boolean | undefined;
}

export function emptyList<V>(): ListState<V> {
  return { rows: noRows(), paged: [], firstAsOf: "", next: undefined };
}

/** The list after a change of the view: rows that a view has forgotten stay. */
export function mergeView<V>(
  list: ListState<V>,
  before: Rows<V> | null,
  view: Rows<V>,
  rules: ListRules<V>,
): ListState<V> {
  if (before === view) return list;
  const draft = new RowsDraft(list.rows);
  for (const [key, row] of view.byKey) {
    if (before?.byKey.get(key) === row) continue;
    const known = draft.byKey.get(key)?.value;
    const value = known === undefined ? row.value : combine(rules, known, row.value);
    draft.put(key, value, row.at, row.since);
  }
  if (before?.removed !== view.removed) {
    for (const [key, at] of view.removed) {
      if (before?.removed.get(key) !== at) draft.remove(key, at);
    }
  }
  return withRows(list, draft.finish());
}

/** The list with the page that follows those that it has. */
export function addPage<V>(list: ListState<V>, page: Page<V>, rules: ListRules<V>): ListState<V> {
  const draft = new RowsDraft(list.rows);
  const paged = new Set(list.paged);
  const firstAsOf = list.firstAsOf === "" ? page.asOf : list.firstAsOf;
  const at = rules.repeats === true ? firstAsOf : page.asOf;
  for (const value of page.rows) {
    const key = rules.keyOf(value);
    const known = draft.byKey.get(key);
    const isRepeated = rules.repeats === true && paged.delete(key);
    const isKnownLater = known !== undefined && known.at !== "" && isNews(known.at, at);
    if (isRepeated || isKnownLater) draft.revise(key, (later) => combine(rules, value, later));
    else draft.put(key, value, at, "");
    if (draft.byKey.has(key)) paged.add(key);
  }
  return {
    rows: draft.finish(),
    paged: [...paged],
    firstAsOf,
    next: page.next,
  };
}

/**
 * The list from its first page anew: what was before is left out, but for values that are the same
 * objects where they say the same.
 */
export function restart<V>(
  list: ListState<V>,
  view: Rows<V>,
  page: Page<V>,
  rules: ListRules<V>,
): ListState<V> {
  const fresh = addPage(mergeView<V>(emptyList(), null, view, rules), page, rules);
  const draft = new RowsDraft(list.rows);
  for (const [key, row] of fresh.rows.byKey) draft.put(key, row.value, "", row.since);
  const byKey = new Map(
    [...fresh.rows.byKey].map(([key, row]) => [
      key,
      { ...row, value: draft.byKey.get(key)?.value ?? row.value },
    ]),
  );
  return { ...fresh, rows: { byKey, removed: fresh.rows.removed } };
}

/**
 * The keys in the order in which they are shown: what came after the first page, the pages, and what
 * is on no page yet, the newest first. A row that is not placed is shown once its page is there.
 */
export function listKeys<V>(list: ListState<V>, rules: ListRules<V>): string[] {
  const paged = new Set(list.paged);
  const arrived: string[] = [];
  const others: string[] = [];
  for (const [key, { since }] of list.rows.byKey) {
    if (paged.has(key) || since === UNPLACED) continue;
    const isArrival = list.firstAsOf === "" || (since !== "" && isNews(since, list.firstAsOf));
    (isArrival ? arrived : others).push(key);
  }
  const shown = list.paged.filter((key) => list.rows.byKey.has(key));
  if (rules.oldestFirst) return [...others, ...shown, ...arrived];
  return [...arrived.reverse(), ...shown, ...others.reverse()];
}

/** Whether a row that belongs to none of the pages is new in `list`, although it has all pages. */
export function lacksPages<V>(before: ListState<V>, list: ListState<V>): boolean {
  if (list.firstAsOf === "" || list.next !== undefined) return false;
  for (const [key, { since }] of list.rows.byKey)
    if (since === UNPLACED && !before.rows.byKey.has(key)) return true;
  return false;
}

function combine<V>(rules: ListRules<V>, earlier: V, later: V): V {
  return rules.combine === undefined ? later : rules.combine(earlier, later);
}

/** The list with other rows. */
export function withRows<V>(list: ListState<V>, rows: Rows<V>): ListState<V> {
  return rows === list.rows ? list : { ...list, rows };
}
