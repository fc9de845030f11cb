import { useSession, useTapewire } from "@tapewire/react";
import { type FormEvent, useRef, useState } from "react";

import { useStoredState } from "../../app/stored-state.js";
import { useTerminal } from "../../app/terminal-context.js";
import { Choice } from "../../components/choice.js";
import { ErrorText, NumberField, SelectField } from "../../components/index.js";
import { lazyDialog } from "../../components/lazy-dialog.js";
import { SymbolField } from "../../components/symbol-field.js";
import type { PanelProps } from "../registry.js";
import { Estimate } from "./estimate.js";
import {
  EMPTY_FIELDS,
  type FieldErrors,
  hasField,
  hasLimit,
  hasStop,
  type OrderFields,
  PRICE_OPTIONS,
  QTY_OPTIONS,
  readOrder,
} from "./order-form.js";
import { type OrderQuestion, questionsBefore } from "./order-question.js";
import type { OrderRequest } from "./order-submission.js";
import { PlacedNote } from "./placed-note.js";
import { TouchLine } from "./touch-line.js";
import { useSubmission } from "./use-submission.js";
import { useTicketRequests } from "./use-ticket-requests.js";
import "./ticket.css";

const QuestionDialog = lazyDialog(() =>
  import("./question-dialog.js").then((module) => module.QuestionDialog),
);

const TIMES_IN_FORCE = [
  ["gtc", "Until canceled"],
  ["day", "Day"],
  ["ioc", "At once, in part (IOC)"],
  ["fok", "At once, in full (FOK)"],
] as const;

const isFields = (value: unknown) =>
  typeof value === "object" &&
  value !== null &&
  Object.keys(EMPTY_FIELDS).every((name) => name in value);

/** The order ticket of the signed-in user. */
export default function TicketPanel(_props: PanelProps) {
  const session = useSession();
  if (session.name !== "signed-in") return null;
  // What one user has filled in is not another one's order.
  return <Ticket key={session.userId} userId={session.userId} />;
}

function Ticket({ userId }: { readonly userId: string }) {
  const client = useTapewire();
  const terminal = useTerminal();
  const { formats, symbol } = terminal;
  const [fields, setFields] = useStoredState<OrderFields>(`ticket.${userId}`, EMPTY_FIELDS, {
    isValid: isFields,
  });
  const [errors, setErrors] = useState<FieldErrors>({});
  const [asked, setAsked] = useState<{
    request: OrderRequest;
    questions: readonly OrderQuestion[];
  } | null>(null);
  const submission = useSubmission(client, userId);
  const form = useRef<HTMLFormElement>(null);
  useTicketRequests(form, setFields);

  const change = (changed: Partial<OrderFields>) => {
    setFields((previous) => ({ ...previous, ...changed }));
    setErrors({});
  };

  function suggestPrices(type: OrderFields["type"]) {
    const quote = symbol === null ? undefined : client.prices.get(symbol);
    const price = (fields.side === "buy" ? quote?.ask : quote?.bid) ?? quote?.price;
    const suggestion = price !== undefined && price > 0 ? formats.editable(price) : "";
    change({
      type,
      ...(hasLimit(type) && fields.limitPrice === "" && { limitPrice: suggestion }),
      ...(hasStop(type) && fields.stopPrice === "" && { stopPrice: suggestion }),
    });
  }

  function submit(event: FormEvent) {
    event.preventDefault();
    if (submission.isPending) return;
    const read = readOrder(symbol, fields, formats.parse);
    if ("errors" in read) {
      setErrors(read.errors);
      form.current?.querySelector<HTMLElement>(`[name="${Object.keys(read.errors)[0]}"]`)?.focus();
      return;
    }
    const { request } = read;
    const terms = { ...request, limitPrice: request.limitPrice ?? null };
    const questions = questionsBefore(terms, {
      quote: client.prices.get(request.symbol),
      account: client.account.get(),
      position: client.positions.get(request.symbol),
    });
    if (questions.length > 0) setAsked({ request, questions });
    else void place(request);
  }

  async function place(request: OrderRequest) {
    setErrors({});
    const failed = await submission.submit(request);
    if (!failed) return;
    const { field, message } = failed;
    if (field !== undefined && hasField(field, request.type)) {
      setErrors({ [field]: message });
      form.current?.querySelector<HTMLElement>(`[name="${field}"]`)?.focus();
    } else setErrors({ form: message });
  }

  const serverError = (name: string) => errors[name];
  const verb = fields.side === "buy" ? "Buy" : "Sell";
  return (
    <form
      className="ticket"
      ref={form}
      data-side={fields.side}
      onSubmit={submit}
      noValidate
      aria-label="Order ticket"
    >
      <SymbolField
        label="Symbol"
        name="symbol"
        symbol={symbol}
        onSelect={terminal.selectSymbol}
        error={serverError("symbol")}
      />
      {symbol !== null && (
        <TouchLine
          symbol={symbol}
          onPick={(price) =>
            change({
              type: hasStop(fields.type) ? "stop_limit" : "limit",
              limitPrice: formats.editable(price),
            })
          }
        />
      )}
      <Choice
        label="Side"
        name="side"
        value={fields.side}
        onChange={(side) => change({ side })}
        options={[
          ["buy", "Buy"],
          ["sell", "Sell"],
        ]}
      />
      <Choice
        label="Type"
        name="type"
        value={fields.type}
        onChange={suggestPrices}
        options={[
          ["market", "Market"],
          ["limit", "Limit"],
          ["stop", "Stop"],
          ["stop_limit", "Stop limit"],
        ]}
      />
      <NumberField
        label="Quantity"
        unit="shares"
        name="qty"
        text={fields.qty}
        step={1}
        {...QTY_OPTIONS}
        onChange={(qty) => change({ qty })}
        error={serverError("qty")}
      />
      {hasStop(fields.type) && (
        <NumberField
          label="Stop price"
          unit="dollars a share"
          name="stopPrice"
          text={fields.stopPrice}
          step={0.01}
          {...PRICE_OPTIONS}
          onChange={(stopPrice) => change({ stopPrice })}
          error={serverError("stopPrice")}
          help="The order becomes active when the market trades at this price."
        />
      )}
      {hasLimit(fields.type) && (
        <NumberField
          label="Limit price"
          unit="dollars a share"
          name="limitPrice"
          text={fields.limitPrice}
          step={0.01}
          {...PRICE_OPTIONS}
          onChange={(limitPrice) => change({ limitPrice })}
          error={serverError("limitPrice")}
          help={
            fields.side === "buy"
              ? "The most that you pay for a share."
              : "The least that you take for a share."
          }
        />
      )}
      <SelectField
        label="Time in force"
        name="timeInForce"
        value={fields.timeInForce}
        options={TIMES_IN_FORCE}
        onChange={(timeInForce) => change({ timeInForce })}
        error={serverError("timeInForce")}
      />
      <label className="check">
        <input
          type="checkbox"
          name="reduceOnly"
          checked={fields.reduceOnly}
          onChange={(event) => change({ reduceOnly: event.target.checked })}
        />
        Reduce only: never go past a position of 0
      </label>
      <ErrorText>{serverError("reduceOnly")}</ErrorText>
      <Estimate symbol={symbol} fields={fields} />
      <button
        type="submit"
        className={`button primary ${fields.side}`}
        aria-disabled={submission.isPending}
      >
        {submission.isPending ? "Sending…" : `${verb} ${symbol ?? ""}`}
      </button>
      <ErrorText isAlert>{errors.form}</ErrorText>
      <p className="form-note" role="status">
        {submission.note}
      </p>
      <PlacedNote orderId={submission.placedId} />
      {asked && (
        <QuestionDialog
          request={asked.request}
          questions={asked.questions}
          onConfirm={() => void place(asked.request)}
          onClose={() => setAsked(null)}
        />
      )}
    </form>
  );
}
