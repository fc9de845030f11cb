import { ApiError, type Order } from "@tapewire/client";
import { useTapewire } from "@tapewire/react";
import { type FormEvent, useState } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import { Dialog, ErrorText, errorMessage, NumberField } from "../../components/index.js";
import { PRICE_OPTIONS, QTY_OPTIONS } from "../ticket/order-form.js";
import { describeOrder } from "./order-words.js";

type FieldName = "qty" | "limitPrice" | "stopPrice";

/** Changes quantity and prices of an open order. Only what differs is sent. */
export function ReplaceDialog({
  order,
  onClose,
}: {
  readonly order: Order;
  readonly onClose: () => void;
}) {
  const client = useTapewire();
  const { formats, announce } = useTerminal();
  const before: Record<FieldName, number | null> = {
    qty: order.qty,
    limitPrice: order.limitPrice,
    stopPrice: order.triggeredAt == null ? (order.stopPrice ?? null) : null,
  };
  const names = (Object.keys(before) as FieldName[]).filter((name) => before[name] !== null);
  const [texts, setTexts] = useState(() =>
    Object.fromEntries(names.map((name) => [name, formats.editable(before[name] ?? 0)])),
  );
  const [errors, setErrors] = useState<Readonly<Record<string, string>>>({});
  const [isBusy, setBusy] = useState(false);

  /** What differs from the order, and the fields that are no numbers. */
  function readChange() {
    const change: Partial<Record<FieldName, number>> = {};
    const wrong: Record<string, string> = {};
    for (const name of names) {
      const options = name === "qty" ? { ...QTY_OPTIONS, min: order.filledQty } : PRICE_OPTIONS;
      const parsed = formats.parse(texts[name] ?? "", options);
      if (!parsed.ok) wrong[name] = parsed.error;
      else if (parsed.value !== before[name]) change[name] = parsed.value;
    }
    return { change, wrong };
  }

  async function save(event: FormEvent) {
    event.preventDefault();
    if (isBusy) return;
    const { change, wrong } = readChange();
    if (Object.keys(wrong).length > 0) return setErrors(wrong);
    if (Object.keys(change).length === 0) return setErrors({ form: "Nothing was changed." });
    setBusy(true);
    try {
      await client.call("PATCH", `/api/orders/${encodeURIComponent(order.orderId)}`, change);
      announce("The change was sent.");
      onClose();
    } catch (error) {
      setErrors({ [(error instanceof ApiError && error.field) || "form"]: errorMessage(error) });
      setBusy(false);
    }
  }

  const labels: Record<FieldName, string> = {
    qty: "Quantity",
    limitPrice: "Limit price",
    stopPrice: "Stop price",
  };
  return (
    <Dialog title={`Change: ${describeOrder(order, formats)}`} onClose={onClose}>
      <form onSubmit={(event) => void save(event)} noValidate className="stack">
        {order.filledQty > 0 && (
          <p>{formats.quantity(order.filledQty)} of it are filled. The quantity includes them.</p>
        )}
        {names.map((name) => (
          <NumberField
            key={name}
            name={name}
            label={labels[name]}
            unit={name === "qty" ? "shares" : "dollars a share"}
            text={texts[name] ?? ""}
            step={name === "qty" ? 1 : 0.01}
            error={errors[name]}
            onChange={(text) => {
              setTexts((previous) => ({ ...previous, [name]: text }));
              setErrors({});
            }}
          />
        ))}
        <ErrorText isAlert>{errors.form}</ErrorText>
        <div className="dialog-buttons">
          <button type="button" className="button" onClick={onClose}>
            Keep the order as it is
          </button>
          <button type="submit" className="button primary" aria-disabled={isBusy}>
            {isBusy ? "Sending…" : "Change the order"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
