import { useCallback, useState } from "react";

import { useTerminal } from "../app/terminal-context.js";
import { errorMessage } from "./error-text.js";

/** Runs an action of the user. If it fails, a message says why; the result is whether it was done. */
export type Attempt = (failure: string, run: () => Promise<unknown>) => Promise<boolean>;

export function useAttempt(): Attempt {
  const { showToast } = useTerminal();
  return useCallback(
    async (failure, run) => {
      try {
        await run();
        return true;
      } catch (error) {
        showToast({ kind: "bad", title: failure, text: errorMessage(error) });
        return false;
      }
    },
    [showToast],
  );
}

/** `useAttempt`, and whether one is under way. */
export function usePendingAttempt(): { readonly isPending: boolean; readonly attempt: Attempt } {
  const run = useAttempt();
  const [isPending, setPending] = useState(false);
  const attempt = useCallback<Attempt>(
    async (failure, action) => {
      setPending(true);
      const isDone = await run(failure, action);
      setPending(false);
      return isDone;
    },
    [run],
  );
  return { isPending, attempt };
}
