import { ApiError, type TapewireClient } from "@tapewire/client";
import { useCallback, useMemo, useState } from "react";

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

/** Places orders of one user, one at a time. */
export function useSubmission(client: TapewireClient, userId: string): Submission {
  const { formats, showToast } = useTerminal();
  const submitter = useMemo(() => new OrderSubmitter(client), [client]);
  const [isPending, setPending] = useState(false);
  const [note, setNote] = useState("");
  const [placedId, setPlacedId] = useState<string | null>(null);

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
        setNote("");
        setPlacedId(order.orderId);
        return null;
      } catch (error) {
        setNote("");
        if (error instanceof ApiError && error.isAccountChanged) {
          const outcome = isTried ? "It is not known whether this was placed" : "Not placed";
          showToast({
            kind: "bad",
            title: `${outcome} for ${userId}`,
            text: `${describeOrder(request, formats)}. ${error.message}`,
          });
        }
        return {
          field: error instanceof ApiError ? error.field : undefined,
          message: errorMessage(error),
        };
      } finally {
        setPending(false);
      }
    },
    [submitter, userId, formats, showToast],
  );
  return { isPending, note, placedId, submit };
}
