import type { Configuration } from "@tapewire/client";
import { useConfigurations, useTapewire } from "@tapewire/react";
import { useMemo } from "react";

const VIEWS_URL = "/api/v2/configurations";

export interface ViewBody {
  readonly name: string;
  readonly tickers: readonly string[];
  readonly tags: readonly string[];
}

export interface Views {
  /** The ids of the views. */
  readonly ids: readonly string[];
  /** Why the views are not known; "" if they are. */
  readonly error: string;
  /** Create a view, or change the one with this id. */
  save(body: ViewBody, id: string | null): Promise<Configuration>;
  remove(id: string): Promise<void>;
}

/** The user's views of news items, which the API calls configurations. */
export function useViews(): Views {
  const client = useTapewire();
  const { keys, status } = useConfigurations();
  return useMemo(
    () => ({
      ids: keys,
      error: status.name === "failed" ? status.error.message : "",
      save: (body, id) =>
        id === null
          ? client.call<Configuration>("POST", VIEWS_URL, body)
          : client.call<Configuration>("PATCH", `${VIEWS_URL}/${encodeURIComponent(id)}`, body),
      async remove(id) {
        await client.call("DELETE", `${VIEWS_URL}/${encodeURIComponent(id)}`);
      },
    }),
    [client, keys, status],
  );
}
