/** Places an order. A double click is one order, and a repeat after a lost answer is not a second. */

import { ApiError, type PlaceOrderBody } from "@tapewire/client";
import { useCommand } from "@tapewire/react";
import { type FormEvent, useState } from "react";

export function OrderForm() {
  const [symbol, setSymbol] = useState("AAPL");
  const [side, setSide] = useState<PlaceOrderBody["side"]>("buy");
  const [quantity, setQuantity] = useState("1");
  const [limitPrice, setLimitPrice] = useState("");
  const place = useCommand((client, options, body: PlaceOrderBody) =>
    client.call("POST", "/api/orders", body, options),
  );
  // The server names the field that is wrong.
  const wrongField = place.error instanceof ApiError ? place.error.field : undefined;
  const errorOf = (field: string) =>
    field === wrongField ? { "aria-invalid": true, "aria-describedby": "order-error" } : {};

  function submit(event: FormEvent): void {
    event.preventDefault();
    const terms = { symbol, side, qty: Number(quantity) };
    const body: PlaceOrderBody = limitPrice
      ? { ...terms, type: "limit", limitPrice: Number(limitPrice) }
      : { ...terms, type: "market" };
    place.run(body).catch(() => {}); // `place.error` is shown below
  }

  return (
    <section aria-labelledby="order">
      <h2 id="order">Order</h2>
      <form onSubmit={submit}>
        <label>
          Symbol
          <input
            {...errorOf("symbol")}
            onChange={(event) => setSymbol(event.target.value.toUpperCase())}
            required
            value={symbol}
          />
        </label>
        <label>
          Side
          <select
            onChange={(event) => setSide(event.target.value === "sell" ? "sell" : "buy")}
            value={side}
          >
            <option value="buy">Buy</option>
            <option value="sell">Sell</option>
          </select>
        </label>
        <label>
          Quantity
          <input
            {...errorOf("qty")}
            inputMode="decimal"
            onChange={(event) => setQuantity(event.target.value)}
            required
            value={quantity}
          />
        </label>
        <label>
          Limit price
          <input
            {...errorOf("limitPrice")}
            inputMode="decimal"
            onChange={(event) => setLimitPrice(event.target.value)}
            placeholder="market"
            value={limitPrice}
          />
        </label>
        <button disabled={place.isPending} type="submit">
          Place order
        </button>
      </form>
      {place.error && (
        <p id="order-error" role="alert">
          {explain(place.error, place.isOutcomeUnknown)}
        </p>
      )}
      {place.result && <p role="status">Order {place.result.clientOrderId} was accepted</p>}
    </section>
  );
}

function explain(error: Error, isOutcomeUnknown: boolean): string {
  if (isOutcomeUnknown) return "No answer. Place it again: it will not be placed twice.";
  return error.message;
}
