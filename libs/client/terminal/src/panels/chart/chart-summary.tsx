import type { Bar } from "@tapewire/client";

import { useTerminal } from "../../app/terminal-context.js";
import { summaryOf } from "./chart-data.js";

/** Rows of the table of bars. */
const TABLE_ROWS = 30;

/** What a chart shows, in a sentence and as a table. */
export function ChartSummary({
  symbol,
  bars,
  id,
}: {
  readonly symbol: string;
  readonly bars: readonly Bar[];
  readonly id: string;
}) {
  const { formats } = useTerminal();
  const summary = summaryOf(bars);
  if (summary === null) return null;
  const { first, last, high, low, volume, change, changePercent } = summary;
  const direction = change === 0 ? "unchanged" : change > 0 ? "up" : "down";
  return (
    <details className="chart-summary">
      <summary id={id}>
        {symbol} is {direction}{" "}
        {changePercent === null ? formats.change(change) : formats.percent(changePercent)} since{" "}
        {formats.timeOrDate(first.start)}: from {formats.price(first.open)} to{" "}
        {formats.price(last.close)}, lowest {formats.price(low)}, highest {formats.price(high)},{" "}
        {formats.quantity(volume)} traded.
      </summary>
      <table className="plain-table">
        <caption className="sr-only">The last bars of {symbol}</caption>
        <thead>
          <tr>
            {["Time", "Open", "High", "Low", "Close", "Volume"].map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {bars
            .slice(-TABLE_ROWS)
            .reverse()
            .map((bar) => (
              <tr key={bar.start}>
                <th scope="row">{formats.timeOrDate(bar.start)}</th>
                {[bar.open, bar.high, bar.low, bar.close].map((price, column) => (
                  <td key={["open", "high", "low", "close"][column]} className="num">
                    {formats.price(price)}
                  </td>
                ))}
                <td className="num">{formats.quantity(bar.volume)}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </details>
  );
}
