/**
 * How a new hub finds out what tabs have of the hub before it: first who is there, then their views.
 *
 * It waits for all tabs that there are, but not for long: some may stand still.
 */

import type { TopicView } from "../source.js";
import { dependsOnUser } from "../topics.js";
import type { HubEnvironment } from "./environment.js";
import type { TabState } from "./messages.js";
import { isLater } from "./positions.js";
import { chooseGivers } from "./seeding.js";

/** A new hub waits this long for the tabs, and again for their views. */
export const GATHER_MS = 100;

export interface GatheringOptions {
  readonly environment: HubEnvironment;
  countTabs(): Promise<number | null>;
  tabs(): readonly TabState[];
  /** Ask a tab for views. */
  ask(tab: string, names: readonly string[]): void;
  onEnd(): void;
}

export class Gathering {
  readonly views = new Map<string, TopicView>();
  /** The tabs have, and have announced, the events up to here. */
  position = "";
  readonly #options: GatheringOptions;
  #phase: "tabs" | "views" | "over" = "tabs";
  #expectedTabs = Infinity;
  /** Tabs that were asked and have not answered. */
  readonly #givers = new Set<string>();
  #timer: unknown;

  constructor(options: GatheringOptions) {
    this.#options = options;
    this.#timer = options.environment.setTimeout(() => this.#askForViews(), GATHER_MS);
    options.countTabs().then(
      (count) => {
        this.#expectedTabs = count ?? Infinity;
        this.#checkTabs();
      },
      () => {}, // unknown: the time decides
    );
  }

  get isOver(): boolean {
    return this.#phase === "over";
  }

  onTab(state: TabState): void {
    if (this.isOver) return;
    if (!isLater(this.position, state.position)) this.position = state.position;
    this.#checkTabs();
  }

  onViews(tab: string, views: Readonly<Record<string, TopicView>>): void {
    if (this.#phase !== "views" || !this.#givers.delete(tab)) return;
    for (const [name, view] of Object.entries(views)) this.views.set(name, view);
    if (this.#givers.size === 0) this.end();
  }

  /** Views that depend on the user were of another one than the hub's is now. */
  dropPrivate(): void {
    for (const name of this.views.keys()) if (dependsOnUser(name)) this.views.delete(name);
  }

  /** End it now. */
  end(): void {
    if (this.isOver) return;
    this.#options.environment.clearTimeout(this.#timer);
    this.#phase = "over";
    this.#options.onEnd();
  }

  #checkTabs(): void {
    const count = this.#options.tabs().length;
    if (this.#phase === "tabs" && count > 0 && count >= this.#expectedTabs) this.#askForViews();
  }

  #askForViews(): void {
    if (this.#phase !== "tabs") return;
    this.#phase = "views";
    this.#options.environment.clearTimeout(this.#timer);
    for (const [tab, names] of chooseGivers(this.#options.tabs())) {
      this.#givers.add(tab);
      this.#options.ask(tab, names);
    }
    if (this.#givers.size === 0) this.end();
    else if (!this.isOver)
      this.#timer = this.#options.environment.setTimeout(() => this.end(), GATHER_MS);
  }
}
