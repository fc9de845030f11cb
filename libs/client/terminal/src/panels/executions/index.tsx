import type { Trade } from "@tapewire/client";
import { useKeyed, useTapewire } from "@tapewire/react";

import { useTerminal } from "../../app/terminal-context.js";
import {
  type Column,
  DataTable,
  EmptyState,
  ListState,
  Money,
  Price,
  Quantity,
  timeColumn,
  useStoreRows,
} from "../../components/index.js";
import { sideWord } from "../blotter/order-words.js";
import type { PanelProps } from "../registry.js";

/** Every execution of the user's orders, the newest first, corrections included. */
export default function ExecutionsPanel({ headingId }: PanelProps) {
  const client = useTapewire();
  const terminal = useTerminal();
  return (
    <DataTable<Trade>
      id="executions"
      labelledBy={headingId}
      columns={COLUMNS}
      {...useStoreRows(client.trades)}
      onSelect={(id) => {
        const trade = client.trades.get(id);
        if (trade) terminal.selectSymbol(trade.symbol);
      }}
      rowAttributes={(trade) => ({
        "data-side": trade.side,
        "data-busted": trade.qty === 0 ? "true" : undefined,
      })}
      empty={
        <ListState store={client.trades} name="your executions">
          <EmptyState
            title="No executions yet"
            text="Each fill of an order appears here."
            action={{ label: "Place an order", onPress: () => terminal.openTicket({}) }}
          />
        </ListState>
      }
    />
  );
}

const COLUMNS: readonly Column<Trade>[] = [
  timeColumn({ minWidth: 100 }),
  {
    id: "symbol",
    header: "Symbol",
    isRowHeader: true,
    minWidth: 74,
    cell: (trade) => trade.symbol,
    sortValue: (trade) => trade.symbol,
  },
  {
    id: "side",
    header: "Side",
    minWidth: 54,
    cell: (trade) => (
      <span className="side" data-side={trade.side}>
        {sideWord(trade.side)}
      </span>
    ),
    sortValue: (trade) => trade.side,
  },
  {
    id: "qty",
    header: "Quantity",
    align: "end",
    minWidth: 76,
    cell: (trade) => (trade.qty === 0 ? <span>Busted</span> : <Quantity value={trade.qty} />),
    sortValue: (trade) => trade.qty,
    firstDirection: "descending",
  },
  {
    id: "price",
    header: "Price",
    align: "end",
    minWidth: 78,
    cell: (trade) => <Price value={trade.price} />,
    sortValue: (trade) => trade.price,
  },
  {
    id: "fee",
    header: "Fee",
    align: "end",
    minWidth: 64,
    priority: 2,
    cell: (trade) => (trade.fee ? <Money value={trade.fee} /> : null),
    sortValue: (trade) => trade.fee ?? 0,
  },
  {
    id: "by",
    header: "By",
    minWidth: 80,
    priority: 3,
    cell: (trade) => <TradedBy trade={trade} />,
    sortValue: (trade) => trade.strategyId,
  },
  { id: "note", header: "Note", minWidth: 110, priority: 1, cell: (trade) => noteOf(trade) },
];

function TradedBy({ trade }: { readonly trade: Trade }) {
  const strategy = useKeyed(useTapewire().strategies, trade.strategyId ?? "");
  return <span>{trade.strategyId === null ? "You" : (strategy?.name ?? "A strategy")}</span>;
}

function noteOf(trade: Trade): string {
  const notes = (trade.exceptions ?? []).map((exception) => exception.replaceAll("_", " "));
  if (trade.before != null)
    notes.unshift(trade.qty === 0 ? "taken back by the venue" : "corrected by the venue");
  return notes.join(", ");
}
