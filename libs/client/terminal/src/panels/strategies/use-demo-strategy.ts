import type { Strategy } from "@tapewire/client";
import { useTapewire } from "@tapewire/react";
import { useCallback } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import { usePendingAttempt } from "../../components/use-attempt.js";
import { demoStrategy } from "./strategy-form.js";

/** Creates and starts a strategy that trades soon. */
export function useDemoStrategy(): {
  readonly isPending: boolean;
  start(symbol: string): Promise<unknown>;
} {
  const client = useTapewire();
  const { showToast } = useTerminal();
  const { isPending, attempt } = usePendingAttempt();

  const start = useCallback(
    (symbol: string) =>
      attempt("The demo strategy was not started", async () => {
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
      }),
    [client, attempt, showToast],
  );
  return { isPending, start };
}
