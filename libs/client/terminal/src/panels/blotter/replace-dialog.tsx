import type { Order } from "@tapewire/client";
import { useTapewire } from "@tapewire/react";

import { useTerminal } from "../../app/terminal-context.js";
import { FormDialog } from "../../components/form/form-dialog.js";
import { type FormRead, NumberField, useForm } from "../../components/index.js";
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
  const form = useForm<Partial<Record<string, string>>>(
    () => Object.fromEntries(names.map((name) => [name, formats.editable(before[name] ?? 0)])),
    ({ field }) => names.find((name) => name === field),
  );
  const { fields, errors, change } = form;

  function readNumber(name: FieldName) {
    const options = name === "qty" ? { ...QTY_OPTIONS, min: order.filledQty } : PRICE_OPTIONS;
    return formats.parse(fields[name] ?? "", options);
  }

  /** What differs from the order, or the fields that are no numbers. */
  function readChange(): FormRead<Partial<Record<FieldName, number>>> {
    const changed: Partial<Record<FieldName, number>> = {};
    const wrong: Record<string, string> = {};
    for (const name of names) {
      const parsed = readNumber(name);
      if (!parsed.ok) wrong[name] = parsed.error;
      else if (parsed.value !== before[name]) changed[name] = parsed.value;
    }
    if (Object.keys(wrong).length > 0) return { errors: wrong };
    if (Object.keys(changed).length === 0) return { errors: { form: "Nothing was changed." } };
    return { body: changed };
  }

  const save = () =>
    form.submit(readChange(), async (body) => {
      await client.call("PATCH", `/api/orders/${encodeURIComponent(order.orderId)}`, body);
      announce("The change was sent.");
      onClose();
    });

  const labels: Record<FieldName, string> = {
    qty: "Quantity",
    limitPrice: "Limit price",
    stopPrice: "Stop price",
  };
  return (
    <FormDialog
      title={`Change: ${describeOrder(order, formats)}`}
      form={form}
      submitLabel="Change the order"
      busyLabel="Sending…"
      cancelLabel="Keep the order as it is"
      onSubmit={save}
      onClose={onClose}
    >
      {order.filledQty > 0 && (
        <p>{formats.quantity(order.filledQty)} of it are filled. The quantity includes them.</p>
      )}
      {names.map((name) => (
        <NumberField
          key={name}
          name={name}
          label={labels[name]}
          unit={name === "qty" ? "shares" : "dollars a share"}
          text={fields[name] ?? ""}
          step={name === "qty" ? 1 : 0.01}
          error={errors[name]}
          onChange={(text) => change({ [name]: text })}
        />
      ))}
    </FormDialog>
  );
}
