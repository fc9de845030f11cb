/** What all stores are made with. */

import type { TapewireClient } from "../interfaces.js";
import type { TopicSource } from "../source.js";

export interface StoreContext {
  readonly source: TopicSource;
  readonly call: TapewireClient["call"];
  /** Epoch milliseconds. */
  readonly now: () => number;
}
