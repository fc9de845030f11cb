import { type RefObject, useEffect, useRef } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import type { OrderFields } from "./order-form.js";

/** Take over what other panels put into the ticket. */
export function useTicketRequests(
  form: RefObject<HTMLFormElement | null>,
  setFields: (change: (previous: OrderFields) => OrderFields) => void,
) {
  const { ticketRequest, formats } = useTerminal();
  const taken = useRef(0);
  useEffect(() => {
    if (ticketRequest === null || ticketRequest.number === taken.current) return;
    taken.current = ticketRequest.number;
    const { side, qty, price } = ticketRequest;
    setFields((previous) => ({
      ...previous,
      ...(side !== undefined && { side }),
      ...(qty !== undefined && { qty: formats.editable(qty) }),
      ...(price !== undefined && { type: "limit" as const, limitPrice: formats.editable(price) }),
      // The prices of another symbol mean nothing here.
      ...(price === undefined &&
        ticketRequest.symbol !== undefined && { limitPrice: "", stopPrice: "" }),
    }));
    form.current?.querySelector<HTMLInputElement>('[name="qty"]')?.select();
  }, [ticketRequest, formats, form, setFields]);
}
