import type { BarInterval } from "@tapewire/client";

import { useStoredState } from "../../app/stored-state.js";
import { useTerminal } from "../../app/terminal-context.js";
import { Choice } from "../../components/choice.js";
import { EmptyState, PanelToolbar } from "../../components/index.js";
import { SymbolField } from "../../components/symbol-field.js";
import type { PanelProps } from "../registry.js";
import { SymbolChart } from "./symbol-chart.js";
import "./chart.css";

const INTERVALS: readonly (readonly [BarInterval, string])[] = [
  ["1s", "1 s"],
  ["1m", "1 min"],
  ["5m", "5 min"],
  ["1d", "1 day"],
];
const isInterval = (value: unknown) => INTERVALS.some(([interval]) => interval === value);

/** Bars of the selected symbol with the user's fills and signals; the same in words and as a table. */
export default function ChartPanel({ headingId }: PanelProps) {
  const terminal = useTerminal();
  const [interval, setInterval] = useStoredState<BarInterval>("chart.interval", "1m", {
    isValid: isInterval,
  });
  const { symbol } = terminal;
  return (
    <div className="chart">
      <PanelToolbar label="Symbol and interval">
        <SymbolField label="Symbol" symbol={symbol} onSelect={terminal.selectSymbol} />
        <Choice<BarInterval>
          label="Interval"
          name="interval"
          value={interval}
          onChange={setInterval}
          options={INTERVALS}
        />
      </PanelToolbar>
      {symbol === null ? (
        <EmptyState title="No symbol is selected" text="Choose one here, or press “/”." />
      ) : (
        <SymbolChart
          key={`${symbol} ${interval}`}
          symbol={symbol}
          interval={interval}
          headingId={headingId}
        />
      )}
    </div>
  );
}
