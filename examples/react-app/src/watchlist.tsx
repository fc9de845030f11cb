/** Prices of a few symbols. A price that is not current says so. */

import { useQuote } from "@tapewire/react";
import { type FormEvent, useState } from "react";

export function Watchlist() {
  const [symbols, setSymbols] = useState<readonly string[]>(["AAPL", "MSFT"]);
  const [added, setAdded] = useState("");

  function add(event: FormEvent): void {
    event.preventDefault();
    const symbol = added.trim().toUpperCase();
    if (symbol && !symbols.includes(symbol)) setSymbols([...symbols, symbol]);
    setAdded("");
  }

  return (
    <section aria-labelledby="watchlist">
      <h2 id="watchlist">Watchlist</h2>
      <form onSubmit={add}>
        <label>
          Add a symbol
          <input onChange={(event) => setAdded(event.target.value)} value={added} />
        </label>
        <button type="submit">Add</button>
      </form>
      <table>
        <thead>
          <tr>
            <th scope="col">Symbol</th>
            <th scope="col">Bid</th>
            <th scope="col">Ask</th>
            <th scope="col">Price</th>
          </tr>
        </thead>
        <tbody>
          {symbols.map((symbol) => (
            <WatchlistRow key={symbol} symbol={symbol} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** A tick of one symbol renders one row. */
function WatchlistRow({ symbol }: { readonly symbol: string }) {
  const { quote, isLive } = useQuote(symbol);
  return (
    <tr className={isLive ? "live" : "old"}>
      <th scope="row">{symbol}</th>
      <td>{quote?.bid ?? "–"}</td>
      <td>{quote?.ask ?? "–"}</td>
      <td>
        {quote?.price ?? "–"}
        {quote && !isLive && " (old)"}
      </td>
    </tr>
  );
}
