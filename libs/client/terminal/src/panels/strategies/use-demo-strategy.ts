import type { Strategy } from "@tapewire/client";
import { useTapewire } from "@tapewire/react";
import { useCallback, useState } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import { errorMessage } from "../../components/index.js";
import { demoStrategy } from "./strategy-form.js";

/** Creates and starts a strategy that trades soon. */
export function useDemoStrategy(): {
  readonly isPending: boolean;
  start(symbol: string): Promise<void>;
} {
  const client = useTapewire();
  const { showToast } = useTerminal();
  const [isPending, setPending] = useState(false);

  const start = useCallback(
    async (symbol: string) => {
      setPending(true);
      try {
        const { strategyId } = await client.call<Strategy>(
          "POST",
          "/api/strategies",
          demoStrategy(symbol),
        );
        await client.call("POST", `/api/strategies/${encodeURIComponent(strategyId)}/start`);
        showToast({
          kind: "good",
          title: `The demo strategy trades ${symbol}`,
          text: "Its decisions appear with their reasons.",
        });
      } catch (error) {
        showToast({
          kind: "bad",
          title: "The demo strategy was not started",
          text: errorMessage(error),
        });
      } finally {
        setPending(false);
      }
    },
    [client, showToast],
  );
  return { isPending, start };
}
