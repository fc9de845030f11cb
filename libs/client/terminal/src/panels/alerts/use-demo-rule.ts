import { useTapewire } from "@tapewire/react";
import { useCallback } from "react";

import { usePendingAttempt } from "../../components/use-attempt.js";
import { demoRule } from "./rule-words.js";

/** Arms a rule that is met at once. */
export function useDemoRule(): {
  readonly isPending: boolean;
  arm(symbol: string): Promise<unknown>;
} {
  const client = useTapewire();
  const { isPending, attempt } = usePendingAttempt();
  const arm = useCallback(
    (symbol: string) =>
      attempt("The rule was not armed", () => {
        const price = client.prices.get(symbol)?.price ?? 0;
        return client.call("POST", "/api/alerts/rules", demoRule(symbol, price));
      }),
    [client, attempt],
  );
  return { isPending, arm };
}
