import { ApiError, type TapewireClient } from "@tapewire/client";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import { errorMessage } from "../../components/index.js";
import { describeOrder } from "../blotter/order-words.js";
import { type OrderRequest, OrderSubmitter } from "./order-submission.js";

export interface FailedSubmission {
  /** The field that the server names; undefined for the whole form. */
  readonly field: string | undefined;
  readonly message: string;
}

export interface Submission {
  readonly isPending: boolean;
  /** What is happening, in words; "" for nothing. */
  readonly note: string;
  /** The order that was placed last. */
  readonly placedId: string | null;
  /** Place an order. The result says why it was not placed; null: it was. */
  submit(request: OrderRequest): Promise<FailedSubmission | null>;
}

function failureOf(error: unknown): FailedSubmission {
  return {
    field: error instanceof ApiError ? error.field : undefined,
    message: errorMessage(error),
  };
}

/** Places orders of one user, one at a time. */
export function useSubmission(client: TapewireClient, userId: string): Submission {
  const { formats, showToast } = useTerminal();
  const submitter = useMemo(() => new OrderSubmitter(client), [client]);
  const [isPending, setPending] = useState(false);
  const [note, setNote] = useState("");
  const [placedId, setPlacedId] = useState<string | null>(null);

  /** For somebody who no longer looks at this ticket, such as after a change of the account. */
  const report = useCallback(
    (kind: "info" | "bad", outcome: string, request: OrderRequest, text: string) => {
      const order = describeOrder(request, formats);
      showToast({ kind, title: `${outcome} for ${userId}: ${order}.`, text });
    },
    [userId, formats, showToast],
  );
  const isShown = useRef(true);
  useEffect(() => {
    isShown.current = true;
    return () => {
      isShown.current = false;
    };
  }, []);

  const submit = useCallback(
    async (request: OrderRequest): Promise<FailedSubmission | null> => {
      setPending(true);
      setNote("Sending…");
      let isTried = false;
      try {
        const order = await submitter.submit(userId, request, (attempts) => {
          isTried = true;
          setNote(`Not through yet; trying again (${attempts})…`);
        });
        if (!isShown.current) report("info", "Placed", request, "");
        setPlacedId(order.orderId);
        return null;
      } catch (error) {
        const isAccountChanged = error instanceof ApiError && error.isAccountChanged;
        if (isAccountChanged || !isShown.current) {
          const outcome = isTried ? "It is not known whether this was placed" : "Not placed";
          report("bad", outcome, request, errorMessage(error));
        }
        return failureOf(error);
      } finally {
        setNote("");
        setPending(false);
      }
    },
    [submitter, userId, report],
  );
  return { isPending, note, placedId, submit };
}
