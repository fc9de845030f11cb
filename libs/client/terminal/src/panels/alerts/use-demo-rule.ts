import { useTapewire } from "@tapewire/react";
import { useCallback, useState } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import { errorMessage } from "../../components/index.js";
import { demoRule } from "./rule-words.js";

/** Arms a rule that is met at once. */
export function useDemoRule(): { readonly isPending: boolean; arm(symbol: string): Promise<void> } {
  const client = useTapewire();
  const { showToast } = useTerminal();
  const [isPending, setPending] = useState(false);
  const arm = useCallback(
    async (symbol: string) => {
      setPending(true);
      try {
        await client.call(
          "POST",
          "/api/alerts/rules",
          demoRule(symbol, client.prices.get(symbol)?.price ?? 0),
        );
      } catch (error) {
        showToast({ kind: "bad", title: "The rule was not armed", text: errorMessage(error) });
      } finally {
        setPending(false);
      }
    },
    [client, showToast],
  );
  return { isPending, arm };
}
