import { useConnection, useKeyed, useTapewire } from "@tapewire/react";

import { useTerminal } from "../../app/terminal-context.js";
import { Age } from "../../components/index.js";

/** Bid and ask of a symbol, or since when they are not live. A press takes the price as the limit. */
export function TouchLine({
  symbol,
  onPick,
}: {
  readonly symbol: string;
  readonly onPick: (price: number) => void;
}) {
  const client = useTapewire();
  const { formats } = useTerminal();
  const quote = useKeyed(client.prices, symbol);
  useConnection(); // `isLive` follows it
  if (quote === undefined)
    return <p className="touch-line">No quote yet. A market order waits for one.</p>;
  const isLive = client.prices.isLive(symbol);
  const side = (name: string, price: number | null) => (
    <button
      type="button"
      className="touch"
      disabled={price === null}
      title="Use as the limit price"
      onClick={() => price !== null && onPick(price)}
    >
      <span className="touch-name">{name}</span> {price === null ? "none" : formats.price(price)}
    </button>
  );
  return (
    <div className="touch-line" data-live={isLive}>
      {side("Bid", quote.bid)}
      {side("Ask", quote.ask)}
      {!isLive && (
        <span className="not-live">
          Not live: from {formats.timeOrDate(quote.timestamp)}, <Age since={quote.timestamp} /> ago
        </span>
      )}
    </div>
  );
}
