import { useAccount, useKeyed, useTapewire } from "@tapewire/react";

import { useTerminal } from "../../app/terminal-context.js";
import { type OrderFields, readOrder } from "./order-form.js";
import { addedShares, valuationPrice } from "./order-question.js";

/** What the order costs or brings at the present market, and what part of the equity that is. */
export function Estimate({
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
