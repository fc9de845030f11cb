/**
 * Lists: rows that follow a topic, and older ones by pages of the REST API, without a gap.
 *
 * The topic is asked for first. When its view is complete, the first page is loaded; it is true for an
 * id that must not be before the position of the view, and the rows of both are joined by their ids.
 * A reset, another hub and an account change start the list anew. Start reading at `ListStore`.
 */

import type { ListStatus, PagedStore, Readable, Unsubscribe } from "../interfaces.js";
import type { TopicChange } from "../source.js";
import { isPrivate } from "../topics.js";
import { noRows, type Rows, RowsDraft } from "../views/rows.js";
import type { StoreContext } from "./context.js";
import { Demand } from "./demand.js";
import { ListLoader } from "./loader.js";
import { isOtherJournal, loadCurrentPage, loadPage, type PageSource } from "./page-source.js";
import {
  addPage,
  emptyList,
  type ListRules,
  type ListState,
  lacksPages,
  listKeys,
  mergeView,
  type Page,
  restart,
  withRows,
} from "./pages.js";
import { isSameList, KeyedListeners, Value } from "./readable.js";

/** Without a complete view the first page is loaded after this, and once more when it is complete. */
export const LOAD_WITHOUT_STREAM_MS = 2_000;
/** A list with more rows starts anew, from its first page, once this many have come. */
export const MAX_ROWS = 5_000;
export const MAX_ARRIVALS = 1_000;

export interface ListOptions<S, V> extends ListRules<V> {
  readonly topic: string;
  readonly select: (state: S) => Rows<V>;
  /** The list of the REST API; without it, the topic is all that there is. */
  readonly pages?: PageSource<V> | undefined;
  /** Change rows by events that the view cannot apply to rows that it does not have. */
  readonly onChange?: ((draft: RowsDraft<V>, change: TopicChange<S>) => void) | undefined;
}

export class ListStore<S, V> implements PagedStore<V> {
  protected readonly context: StoreContext;
  readonly #options: ListOptions<S, V>;
  readonly #demand: Demand<S>;
  readonly #listeners: KeyedListeners;
  readonly #keys: Value<readonly string[]>;
  readonly #hasMore: Value<boolean>;
  readonly #loader: ListLoader;
  readonly #forgetUser: Unsubscribe;
  #list: ListState<V> = emptyList();
  /** The rows of the view that the list has. */
  #viewRows: Rows<V> | null = null;
  #resets = 0;
  /** The position from which the view has everything; null until it is complete. */
  #coveredFrom: string | null = null;
  /** Whether the first page was asked for, in this coverage. */
  #isStarted = false;
  /** The first page is to be loaded again as soon as nothing else is loaded. */
  #isDue = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  readonly keys: Readable<readonly string[]>;
  readonly status: Readable<ListStatus>;
  readonly hasMore: Readable<boolean>;

  constructor(context: StoreContext, options: ListOptions<S, V>) {
    this.context = context;
    this.#options = options;
    this.#demand = new Demand<S>(context.source, options.topic, this.#onChange, this.#onRelease);
    this.#listeners = new KeyedListeners(this.#demand.use);
    this.#keys = new Value<readonly string[]>([], this.#demand.use);
    this.#hasMore = new Value(false, this.#demand.use);
    this.#loader = new ListLoader(this.#loadFirst, () => {
      if (this.#isDue && !this.#loader.isRetrying) this.#loadFirst();
    });
    this.keys = this.#keys;
    this.hasMore = this.#hasMore;
    this.status = {
      get: this.#loader.status.get,
      subscribe: (listener) => both(this.#loader.status.subscribe(listener), this.#demand.use()),
    };
    this.#forgetUser = context.source.user.subscribe(() => {
      if (isPrivate(options.topic)) this.#startAnew();
    });
  }

  get = (key: string): V | undefined => this.#list.rows.byKey.get(key)?.value;

  subscribe = (key: string, listener: () => void): Unsubscribe =>
    this.#listeners.add(key, listener);

  loadMore = async ({ signal }: { signal?: AbortSignal } = {}): Promise<void> => {
    const { firstAsOf, next } = this.#list;
    if (this.#options.pages === undefined) return;
    if (firstAsOf === "" || this.#isDue) {
      await this.#loader.run(this.#loadFirstPage, signal);
    } else if (next !== undefined) {
      await this.#loader.run((aborted) => this.#loadNext(next, aborted), signal);
    }
  };

  /** For good. */
  release(): void {
    this.#forgetUser();
    this.#demand.release();
  }

  /** Change rows from outside of the view, for example after a call. */
  protected edit(change: (draft: RowsDraft<V>) => void): void {
    const draft = new RowsDraft(this.#list.rows);
    change(draft);
    this.#show(withRows(this.#list, draft.finish()));
  }

  protected get rows(): Rows<V> {
    return this.#list.rows;
  }

  protected get demand(): Demand<S> {
    return this.#demand;
  }

  /** What is shown for a row. */
  protected notifyKey(key: string): void {
    this.#listeners.notify(key);
  }

  /** The view changed, and the rows follow it. */
  protected onViewChange(_: TopicChange<S>): void {}

  /** All rows are gone: the account changed. */
  protected onCleared(): void {}

  readonly #onChange = (change: TopicChange<S>): void => {
    const { view, events } = change;
    if (events === null || view.resets !== this.#resets) {
      this.#coveredFrom = null;
      this.#viewRows = null;
    }
    this.#resets = view.resets;
    const rows = this.#options.select(view.state);
    let list = mergeView(this.#list, this.#viewRows, rows, this.#options);
    this.#viewRows = rows;
    if (this.#options.onChange !== undefined) {
      const draft = new RowsDraft(list.rows);
      this.#options.onChange(draft, change);
      list = withRows(list, draft.finish());
    }
    const isIncomplete = lacksPages(this.#list, list);
    this.#show(list);
    this.onViewChange(change);
    this.#followPhase(view.phase === "complete", view.position);
    if (isIncomplete) this.#start();
  };

  /** Load the first page when the view is complete, or after a while although it is not. */
  #followPhase(isComplete: boolean, position: string): void {
    if (isPrivate(this.#options.topic) && this.context.source.user.get() === null) return;
    if (isComplete && this.#coveredFrom === null) {
      this.#coveredFrom = position;
      this.#isStarted = false;
    }
    if (this.#isStarted) {
      this.#boundRows();
      return;
    }
    if (isComplete) this.#start();
    else this.#timer ??= setTimeout(this.#start, LOAD_WITHOUT_STREAM_MS);
  }

  readonly #start = (): void => {
    this.#stopTimer();
    this.#isStarted = true;
    if (this.#options.pages === undefined) {
      this.#loader.status.set({ name: "ready" });
      return;
    }
    this.#isDue = true; // also when a page is being loaded, which may be older
    if (!this.#loader.isRunning) this.#loadFirst();
  };

  readonly #loadFirst = (): void => {
    this.#loader.run(this.#loadFirstPage).catch(() => {}); // it is in the status
  };

  readonly #loadFirstPage = async (signal: AbortSignal): Promise<void> => {
    this.#isDue = false;
    try {
      await this.#restart(signal);
    } catch (error) {
      if (!signal.aborted) this.#isDue = this.#loader.retryAfter(error);
      throw error;
    }
  };

  async #loadNext(cursor: string, signal: AbortSignal): Promise<void> {
    try {
      const page = await this.#loadPage(cursor, signal);
      if (!signal.aborted) this.#show(addPage(this.#list, page, this.#options));
    } catch (error) {
      if (!isOtherJournal(error)) throw error;
      await this.#restart(signal);
    }
  }

  async #restart(signal: AbortSignal): Promise<void> {
    const page = await loadCurrentPage(
      () => this.#loadPage(undefined, signal),
      () => this.#coveredFrom,
      signal,
    );
    if (signal.aborted) return;
    this.#show(restart(this.#list, this.#viewRows ?? noRows<V>(), page, this.#options));
  }

  #loadPage(cursor: string | undefined, signal: AbortSignal): Promise<Page<V>> {
    const user = isPrivate(this.#options.topic) ? this.context.source.user.get() : null;
    const options = user === null ? { signal } : { signal, user };
    return loadPage(this.context.call, this.#options.pages as PageSource<V>, cursor, options);
  }

  #boundRows(): void {
    const { rows, paged } = this.#list;
    if (this.#options.pages === undefined || rows.byKey.size <= MAX_ROWS || this.#loader.isRunning)
      return;
    if (rows.byKey.size - paged.length > MAX_ARRIVALS) this.#loadFirst();
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  readonly #onRelease = (): void => {
    this.#stopTimer();
    this.#loader.stop();
    this.#forget();
  };

  /** Another user, or nobody: nothing of the former one stays, not for a moment. */
  #startAnew(): void {
    this.#onRelease();
    this.onCleared();
    if (!this.#demand.isActive) return;
    const { view } = this.#demand;
    this.#onChange({ view, events: null, announces: false });
  }

  #forget(): void {
    this.#viewRows = null;
    this.#coveredFrom = null;
    this.#isStarted = false;
    this.#isDue = false;
    this.#show(emptyList());
  }

  #show(list: ListState<V>): void {
    const before = this.#list;
    if (list === before) return;
    this.#list = list;
    const isMoved = hasOtherKeys(before, list) && this.#takeKeys(listKeys(list, this.#options));
    const isOther = this.#hasMore.replace(list.next !== undefined);
    for (const key of this.#listeners.keys()) {
      if (!Object.is(before.rows.byKey.get(key)?.value, list.rows.byKey.get(key)?.value))
        this.#listeners.notify(key);
    }
    if (isMoved) this.#keys.notify();
    if (isOther) this.#hasMore.notify();
  }

  #takeKeys(keys: readonly string[]): boolean {
    return !isSameList(keys, this.#keys.get()) && this.#keys.replace(keys);
  }
}

function hasOtherKeys(before: ListState<unknown>, after: ListState<unknown>): boolean {
  if (before.paged !== after.paged || before.firstAsOf !== after.firstAsOf) return true;
  if (before.rows.byKey.size !== after.rows.byKey.size) return true;
  for (const key of after.rows.byKey.keys()) if (!before.rows.byKey.has(key)) return true;
  return false;
}

function both(one: Unsubscribe, other: Unsubscribe): Unsubscribe {
  return () => {
    one();
    other();
  };
}
