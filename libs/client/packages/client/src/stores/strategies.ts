/** The user's strategies: the list of the REST API, kept current by the changes on the stream. */

import type { Strategy, StrategyList, StrategyStatus, StrategyUpdate } from "../generated/types.js";
import type { TopicChange } from "../source.js";
import { noRows, type Rows } from "../views/rows.js";
import type { StoreContext } from "./context.js";
import { ListStore } from "./list.js";

/** A strategy is loaded at most this often: a busy one changes many times a second. */
export const RELOAD_INTERVAL_MS = 1_000;

type Changes = Rows<StrategyUpdate>;

/**
 * A change on the stream has a part of the strategy, which is shown at once; the rest is loaded. A
 * strategy that is new is shown when it is loaded.
 */
export class Strategies extends ListStore<Changes, Strategy> {
  #changes: Changes = noRows();
  /** When each strategy that changed was or will be loaded, epoch milliseconds. */
  readonly #loads = new Map<
    string,
    { timer: ReturnType<typeof setTimeout> | undefined; at: number; isDue: boolean }
  >();
  /** The ids with which strategies were created while the list was shown. */
  readonly #created = new Map<string, string>();
  #user = 0;

  constructor(context: StoreContext) {
    super(context, {
      topic: "strategies",
      select: () => NONE,
      keyOf: (one) => one.strategyId,
      pages: {
        path: "/api/strategies?limit=200",
        read: ({ strategies, asOf, next }: StrategyList) => ({ rows: strategies, asOf, next }),
      },
    });
  }

  override release(): void {
    this.onCleared();
    super.release();
  }

  protected override onViewChange({ view, events }: TopicChange<Changes>): void {
    const before = this.#changes;
    this.#changes = view.state;
    if (events === null) return; // the list is loaded anew
    for (const { type, data, id } of events) {
      if (type !== "strategy:update" || id === null) continue;
      const { change, strategyId } = data as StrategyUpdate;
      if (change === "created") this.#created.set(strategyId, id);
    }
    const changed = [...view.state.byKey].filter(
      ([key, row]) => before.byKey.get(key) !== row && row.at !== "",
    );
    if (changed.length === 0) return;
    this.edit((draft) => {
      for (const [id, row] of changed) {
        if (row.value.change === "deleted") draft.remove(id, row.at);
        else draft.revise(id, (strategy) => withChange(strategy, row.value));
      }
    });
    for (const [id, row] of changed) if (row.value.change !== "deleted") this.#loadSoon(id);
  }

  protected override onCleared(): void {
    this.#user += 1;
    for (const { timer } of this.#loads.values()) clearTimeout(timer);
    this.#loads.clear();
    this.#created.clear();
    this.#changes = noRows();
  }

  #loadSoon(id: string): void {
    const load = this.#loads.get(id) ?? { timer: undefined, at: 0, isDue: false };
    this.#loads.set(id, load);
    if (load.isDue) return;
    load.isDue = true;
    const pause = Math.max(0, load.at + RELOAD_INTERVAL_MS - this.context.now());
    load.timer = setTimeout(() => void this.#load(id, load), pause);
  }

  async #load(id: string, load: { at: number; isDue: boolean }): Promise<void> {
    const user = this.#user;
    const row = this.#changes.byKey.get(id);
    load.at = this.context.now();
    load.isDue = false;
    let strategy: Strategy;
    try {
      strategy = await this.context.call<Strategy>(
        "GET",
        `/api/strategies/${encodeURIComponent(id)}`,
      );
    } catch {
      return; // deleted meanwhile, or not reachable: the next change or page has it
    }
    if (user !== this.#user || row === undefined) return;
    const later = this.#changes.byKey.get(id);
    if (later?.value.change === "deleted") return;
    this.edit((draft) => {
      const value =
        later === undefined || later === row ? strategy : withChange(strategy, later.value);
      draft.put(id, value, row.at, this.#created.get(id) ?? "");
    });
  }
}

const NONE: Rows<Strategy> = noRows();

/** A strategy after a change. */
function withChange(strategy: Strategy, change: StrategyUpdate): Strategy {
  const { name, symbol, status, position, timestamp, message } = change;
  return {
    ...strategy,
    name,
    symbol,
    status: status as StrategyStatus,
    position,
    timestamp,
    message: message ?? null,
  };
}
