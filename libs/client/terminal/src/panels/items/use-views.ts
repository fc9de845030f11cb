import type { Configuration, ConfigurationList } from "@tapewire/client";
import { useSession, useTapewire } from "@tapewire/react";
import { useCallback, useEffect, useState } from "react";

import { errorMessage } from "../../components/index.js";

const VIEWS_URL = "/api/v2/configurations";

export interface ViewBody {
  readonly name: string;
  readonly tickers: readonly string[];
  readonly tags: readonly string[];
}

export interface Views {
  readonly views: readonly Configuration[];
  readonly error: string;
  /** Create a view, or change the one with this id. */
  save(body: ViewBody, id: string | null): Promise<Configuration>;
  remove(id: string): Promise<void>;
}

/** The user's views of news items. Other tabs and programs change them too: they are read again when the page is looked at. */
export function useViews(): Views {
  const client = useTapewire();
  const session = useSession();
  const userId = session.name === "signed-in" ? session.userId : null;
  const [views, setViews] = useState<readonly Configuration[]>([]);
  const [error, setError] = useState("");

  const load = useCallback(
    async (signal?: AbortSignal) => {
      if (userId === null) return;
      try {
        const list = await client.call<ConfigurationList>("GET", VIEWS_URL, undefined, {
          user: userId,
          ...(signal && { signal }),
        });
        setViews(list.configurations);
        setError("");
      } catch (reason) {
        if (!signal?.aborted) setError(errorMessage(reason));
      }
    },
    [client, userId],
  );

  useEffect(() => {
    const abort = new AbortController();
    setViews([]);
    void load(abort.signal);
    const refresh = () => document.hidden || void load(abort.signal);
    document.addEventListener("visibilitychange", refresh);
    return () => {
      abort.abort();
      document.removeEventListener("visibilitychange", refresh);
    };
  }, [load]);

  const save = useCallback(
    async (body: ViewBody, id: string | null) => {
      const saved =
        id === null
          ? await client.call<Configuration>("POST", VIEWS_URL, body)
          : await client.call<Configuration>(
              "PATCH",
              `${VIEWS_URL}/${encodeURIComponent(id)}`,
              body,
            );
      await load();
      return saved;
    },
    [client, load],
  );
  const remove = useCallback(
    async (id: string) => {
      await client.call("DELETE", `${VIEWS_URL}/${encodeURIComponent(id)}`);
      await load();
    },
    [client, load],
  );
  return { views, error, save, remove };
}
