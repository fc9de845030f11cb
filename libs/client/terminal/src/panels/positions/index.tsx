import type { Position } from "@tapewire/client";
import { useKeys, useTapewire } from "@tapewire/react";
import { useMemo } from "react";

import { useStoredState } from "../../app/stored-state.js";
import { useTerminal } from "../../app/terminal-context.js";
import {
  type Column,
  DataTable,
  EmptyState,
  Money,
  Percent,
  Price,
  Quantity,
  RowButton,
} from "../../components/index.js";
import { useRowsValue } from "../../components/use-rows-value.js";
import type { PanelProps } from "../registry.js";
import { gainPercent, positionValue } from "./position-figures.js";
import "./positions.css";

/** What the user holds, with profit and loss as prices move. */
export default function PositionsPanel({ headingId }: PanelProps) {
  const client = useTapewire();
  const terminal = useTerminal();
  const symbols = useKeys(client.positions);
  const [showsClosed, setShowsClosed] = useStoredState("positions.closed", false);
  const held = useHeldSymbols(symbols);
  const columns = useMemo(
    () =>
      columnsOf((position) => {
        terminal.openTicket({
          symbol: position.symbol,
          side: position.quantity > 0 ? "sell" : "buy",
          qty: Math.abs(position.quantity),
        });
      }),
    [terminal],
  );
  const closedCount = symbols.length - held.length;

  return (
    <div className="positions">
      <DataTable<Position>
        id="positions"
        labelledBy={headingId}
        columns={columns}
        rowKeys={showsClosed ? symbols : held}
        rows={client.positions}
        isLive
        selectedKey={terminal.symbol}
        onSelect={terminal.selectSymbol}
        onAction={(symbol) => terminal.openTicket({ symbol })}
        rowAttributes={(position) => ({ "data-stale": position.stale ? "true" : undefined })}
        empty={
          <EmptyState
            title="You hold nothing"
            text="What you buy appears here with its profit and loss."
            action={{
              label: "Place an order",
              onPress: () => terminal.openTicket({ side: "buy" }),
            }}
          />
        }
      />
      {closedCount > 0 && (
        <label className="check">
          <input
            type="checkbox"
            checked={showsClosed}
            onChange={(event) => setShowsClosed(event.target.checked)}
          />
          Show {closedCount} closed
        </label>
      )}
    </div>
  );
}

/** The symbols whose quantity is not 0. A symbol that is closed may stay at its place in the store. */
function useHeldSymbols(symbols: readonly string[]): readonly string[] {
  const { positions } = useTapewire();
  const isHeld = (symbol: string) => (positions.get(symbol)?.quantity ?? 0) !== 0;
  const held = useRowsValue(positions, symbols, () => JSON.stringify(symbols.filter(isHeld)));
  return useMemo(() => JSON.parse(held) as string[], [held]);
}

function columnsOf(close: (position: Position) => void): Column<Position>[] {
  return [
    {
      id: "symbol",
      header: "Symbol",
      isRowHeader: true,
      minWidth: 96,
      cell: (position) => (
        <span className="symbol-cell">
          {position.symbol}
          {position.stale && (
            <span className="stale-mark" title="Valued at a price that is too old to rely on">
              stale
            </span>
          )}
        </span>
      ),
      sortValue: (position) => position.symbol,
    },
    {
      id: "quantity",
      header: "Quantity",
      align: "end",
      minWidth: 76,
      cell: (position) => <Quantity value={position.quantity} isSigned />,
      sortValue: (position) => position.quantity,
      firstDirection: "descending",
    },
    {
      id: "unrealized",
      header: "Profit or loss",
      align: "end",
      minWidth: 104,
      cell: (position) => <Money value={position.unrealizedPnL} isSigned />,
      sortValue: (position) => position.unrealizedPnL,
      firstDirection: "descending",
    },
    {
      id: "percent",
      header: "%",
      label: "Profit or loss in percent",
      align: "end",
      minWidth: 78,
      priority: 2,
      cell: (position) => <Percent value={gainPercent(position)} />,
      sortValue: gainPercent,
      firstDirection: "descending",
    },
    {
      id: "entry",
      header: "Entry",
      align: "end",
      minWidth: 76,
      priority: 3,
      cell: (position) => <Price value={position.entryPrice} />,
    },
    {
      id: "price",
      header: "Price",
      align: "end",
      minWidth: 76,
      priority: 1,
      cell: (position) => <Price value={position.currentPrice} />,
    },
    {
      id: "value",
      header: "Value",
      align: "end",
      minWidth: 92,
      priority: 4,
      cell: (position) => <Money value={positionValue(position)} />,
      sortValue: positionValue,
      firstDirection: "descending",
    },
    {
      id: "realized",
      header: "Realized",
      align: "end",
      minWidth: 92,
      priority: 5,
      cell: (position) => <Money value={position.realizedPnL} isSigned />,
      sortValue: (position) => position.realizedPnL,
      firstDirection: "descending",
    },
    {
      id: "actions",
      header: "",
      label: "Actions",
      align: "end",
      minWidth: 76,
      grow: 0,
      cell: (position) =>
        position.quantity !== 0 && (
          <RowButton
            onClick={() => close(position)}
            aria-label={`Close the position in ${position.symbol}`}
          >
            Close
          </RowButton>
        ),
    },
  ];
}
