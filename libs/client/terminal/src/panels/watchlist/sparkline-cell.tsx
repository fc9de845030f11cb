import type { TapewireClient } from "@tapewire/client";
import { useTapewire } from "@tapewire/react";
import { memo, useCallback, useSyncExternalStore } from "react";

import { linePath } from "./sparkline.js";
import { SparklineStore } from "./sparkline-store.js";

const WIDTH = 72;
const HEIGHT = 18;

const stores = new WeakMap<TapewireClient, SparklineStore>();

function storeOf(client: TapewireClient): SparklineStore {
  const store = stores.get(client) ?? new SparklineStore(client.prices);
  stores.set(client, store);
  return store;
}

/** The last minutes of a price as a line. Decoration: the same is in the cells of price and change. */
export const SparklineCell = memo(function SparklineCell({ symbol }: { readonly symbol: string }) {
  const store = storeOf(useTapewire());
  const subscribe = useCallback(
    (onChange: () => void) => store.watch(symbol, onChange),
    [store, symbol],
  );
  const points = useSyncExternalStore(subscribe, () => store.get(symbol));
  const rise = (points.at(-1)?.price ?? 0) - (points[0]?.price ?? 0);
  return (
    <svg
      className="sparkline"
      data-direction={rise < 0 ? "down" : "up"}
      width={WIDTH}
      height={HEIGHT}
      viewBox={`0 -1 ${WIDTH} ${HEIGHT + 2}`}
      aria-hidden="true"
    >
      <path d={linePath(points, WIDTH, HEIGHT)} fill="none" vectorEffect="non-scaling-stroke" />
    </svg>
  );
});
