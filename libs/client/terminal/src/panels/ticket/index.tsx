import { useAccount, useConnection, useKeyed, useSession, useTapewire } from "@tapewire/react";
import { type FormEvent, useEffect, useId, useRef, useState } from "react";

import { useStoredState } from "../../app/stored-state.js";
import { useTerminal } from "../../app/terminal-context.js";
import { Choice } from "../../components/choice.js";
import { ErrorText, NumberField } from "../../components/index.js";
import { SymbolField } from "../../components/symbol-field.js";
import { describeOrder } from "../blotter/order-words.js";
import type { PanelProps } from "../registry.js";
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
import {
  addedShares,
  type OrderQuestion,
  questionsBefore,
  valuationPrice,
} from "./order-question.js";
import type { OrderRequest } from "./order-submission.js";
import { QuestionDialog } from "./question-dialog.js";
import { TouchLine } from "./touch-line.js";
import { usePlacedOrder } from "./use-placed-order.js";
import { useSubmission } from "./use-submission.js";
import "./ticket.css";

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
      <TimeInForceField
        value={fields.timeInForce}
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

/** Take over what other panels put into the ticket. */
function useTicketRequests(
  form: React.RefObject<HTMLFormElement | null>,
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

const TIMES_IN_FORCE = [
  ["gtc", "Until canceled"],
  ["day", "Day"],
  ["ioc", "At once, in part (IOC)"],
  ["fok", "At once, in full (FOK)"],
] as const;

function TimeInForceField({
  value,
  onChange,
  error,
}: {
  readonly value: OrderFields["timeInForce"];
  readonly onChange: (value: OrderFields["timeInForce"]) => void;
  readonly error: string | undefined;
}) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>Time in force</label>
      <select
        id={id}
        name="timeInForce"
        className="input"
        value={value}
        aria-describedby={`${id}-error`}
        onChange={(event) => onChange(event.target.value as OrderFields["timeInForce"])}
      >
        {TIMES_IN_FORCE.map(([name, label]) => (
          <option key={name} value={name}>
            {label}
          </option>
        ))}
      </select>
      <ErrorText id={`${id}-error`}>{error}</ErrorText>
    </div>
  );
}

/** What the order costs or brings at the present market, and what part of the equity that is. */
function Estimate({
  symbol,
  fields,
}: {
  readonly symbol: string | null;
  readonly fields: OrderFields;
}) {
  const client = useTapewire();
  const { formats } = useTerminal();
  const quote = useKeyed(client.prices, symbol ?? "");
  const position = useKeyed(client.positions, symbol ?? "");
  const account = useAccount();
  const read = readOrder(symbol, fields, formats.parse);
  const terms =
    "request" in read ? { ...read.request, limitPrice: read.request.limitPrice ?? null } : null;
  const price = terms && valuationPrice(terms, quote);
  const value = terms && price !== null ? price * terms.qty : null;
  const added =
    terms && price !== null ? Math.abs(price) * addedShares(terms, position?.quantity ?? 0) : null;
  return (
    <dl className="estimate">
      <dt>{fields.side === "sell" ? "Estimated proceeds" : "Estimated cost"}</dt>
      <dd>{formats.money(value)}</dd>
      <dt>Held now</dt>
      <dd>{formats.quantity(position?.quantity ?? 0)}</dd>
      <dt>Added exposure</dt>
      <dd>
        {formats.money(added)}
        {added !== null &&
          account !== null &&
          account.equity > 0 &&
          ` (${formats.share(added / account.equity)} of equity)`}
      </dd>
      {account?.buyingPower != null && (
        <>
          <dt>Buying power</dt>
          <dd>{formats.money(account.buyingPower)}</dd>
        </>
      )}
    </dl>
  );
}

/** How the order that was placed last is doing. */
function PlacedNote({ orderId }: { readonly orderId: string | null }) {
  const placed = usePlacedOrder(orderId);
  const { formats, openPanel } = useTerminal();
  const connection = useConnection();
  if (placed === null) return null;
  return (
    <p className="placed-note" role="status">
      {describeOrder(placed.order, formats)}: {placed.words}.
      {connection.name !== "live" && " The page is not live; what happens now is shown when it is."}{" "}
      <button type="button" className="link-button" onClick={() => openPanel("blotter")}>
        Show orders
      </button>
    </p>
  );
}
