import type { Quote } from "@tapewire/client";
import { useConnection, useSession, useSymbols, useTapewire } from "@tapewire/react";
import { type KeyboardEvent, useMemo } from "react";

import { useStoredState } from "../../app/stored-state.js";
import { useTerminal } from "../../app/terminal-context.js";
import { Choice } from "../../components/choice.js";
import {
  Change,
  type Column,
  DataTable,
  EmptyState,
  PanelToolbar,
  Percent,
  Price,
  Quantity,
  RowButton,
} from "../../components/index.js";
import { matchingSymbols } from "../../components/symbol-filter.js";
import type { PanelProps } from "../registry.js";
import { FlashingPrice } from "./flashing-price.js";
import { SparklineCell } from "./sparkline-cell.js";
import { useWatchlist, type Watchlist } from "./use-watchlist.js";
import "./watchlist.css";

type Shown = "all" | "starred";

/** Live prices: all symbols, or the user's own, with search, sorting and a way into the ticket. */
export default function WatchlistPanel({ headingId }: PanelProps) {
  const client = useTapewire();
  const terminal = useTerminal();
  const symbols = useSymbols();
  const watchlist = useWatchlist();
  const isSignedIn = useSession().name === "signed-in";
  const [query, setQuery] = useStoredState("watchlist.query", "");
  const shown = useMemo(
    () => matchingSymbols(watchlist.isNarrowed ? watchlist.starred : symbols, query),
    [watchlist, symbols, query],
  );
  const columns = useMemo(
    () => columnsOf(watchlist, isSignedIn, terminal.openTicket),
    [watchlist, isSignedIn, terminal.openTicket],
  );

  function handleRowKey(symbol: string, event: KeyboardEvent): boolean {
    if (event.altKey || event.ctrlKey || event.metaKey) return false;
    if (event.key === "w") {
      watchlist.toggle(symbol);
      terminal.announce(
        `${symbol} ${watchlist.isStarred(symbol) ? "removed from" : "added to"} the watchlist`,
      );
      return true;
    }
    return false;
  }

  return (
    <div className="watchlist">
      <PanelToolbar label="Which symbols">
        <input
          type="search"
          className="input"
          aria-label="Filter symbols"
          placeholder="Filter symbols"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
        />
        {watchlist.starred.length > 0 && (
          <Choice<Shown>
            label="Shown symbols"
            name="watchlist"
            value={watchlist.isNarrowed ? "starred" : "all"}
            onChange={(shown) => watchlist.narrow(shown === "starred")}
            options={[
              ["all", "All"],
              ["starred", `Starred ${terminal.formats.count(watchlist.starred.length)}`],
            ]}
          />
        )}
      </PanelToolbar>
      <DataTable<Quote>
        id="watchlist"
        labelledBy={headingId}
        columns={columns}
        rowKeys={shown}
        rows={client.prices}
        isLive
        selectedKey={terminal.symbol}
        onSelect={terminal.selectSymbol}
        onAction={(symbol) =>
          isSignedIn ? terminal.openTicket({ symbol }) : terminal.openPanel("chart")
        }
        onRowKey={handleRowKey}
        rowAttributes={rowAttributes}
        empty={
          <NoPrices query={query} hasSymbols={symbols.length > 0} onClear={() => setQuery("")} />
        }
      />
    </div>
  );
}

const rowAttributes = (quote: Quote) => ({ "data-stale": quote.stale ? "true" : undefined });

function columnsOf(
  watchlist: Watchlist,
  isSignedIn: boolean,
  openTicket: (draft: { symbol: string; side: "buy" | "sell" }) => void,
): Column<Quote>[] {
  return [
    {
      id: "symbol",
      header: "Symbol",
      isRowHeader: true,
      minWidth: 112,
      cell: (quote) => <SymbolCell quote={quote} />,
      sortValue: (quote) => quote.symbol,
    },
    {
      id: "star",
      header: "",
      label: "Starred",
      minWidth: 38,
      grow: 0,
      cell: (_, symbol) => (
        <RowButton
          className="star"
          aria-pressed={watchlist.isStarred(symbol)}
          aria-label={`${symbol} on the watchlist`}
          title={watchlist.isStarred(symbol) ? "Remove from the watchlist" : "Add to the watchlist"}
          onClick={() => watchlist.toggle(symbol)}
        >
          {watchlist.isStarred(symbol) ? "★" : "☆"}
        </RowButton>
      ),
    },
    {
      id: "trend",
      header: "",
      label: "Trend",
      minWidth: 78,
      grow: 0,
      priority: 2,
      cell: (_, symbol) => <SparklineCell symbol={symbol} />,
    },
    {
      id: "price",
      header: "Price",
      align: "end",
      minWidth: 72,
      cell: (quote) => <FlashingPrice price={quote.price} />,
      sortValue: (quote) => quote.price,
      firstDirection: "descending",
    },
    {
      id: "changePercent",
      header: "Change %",
      align: "end",
      minWidth: 110,
      priority: 1,
      cell: (quote) => <Percent value={quote.changePercent} />,
      sortValue: (quote) => quote.changePercent,
      firstDirection: "descending",
    },
    {
      id: "bid",
      header: "Bid",
      align: "end",
      minWidth: 72,
      priority: 3,
      cell: (quote) => <Price value={quote.bid} />,
    },
    {
      id: "ask",
      header: "Ask",
      align: "end",
      minWidth: 72,
      priority: 3,
      cell: (quote) => <Price value={quote.ask} />,
    },
    {
      id: "change",
      header: "Change",
      align: "end",
      minWidth: 78,
      priority: 6,
      cell: (quote) => <Change value={quote.change} />,
      sortValue: (quote) => quote.change,
      firstDirection: "descending",
    },
    {
      id: "volume",
      header: "Volume",
      align: "end",
      minWidth: 84,
      priority: 7,
      cell: (quote) => <Quantity value={quote.volume} />,
      sortValue: (quote) => quote.volume,
      firstDirection: "descending",
    },
    ...(isSignedIn ? [actionsColumn(openTicket)] : []),
  ];
}

function actionsColumn(
  openTicket: (draft: { symbol: string; side: "buy" | "sell" }) => void,
): Column<Quote> {
  return {
    id: "actions",
    header: "",
    label: "Actions",
    align: "end",
    minWidth: 100,
    grow: 0,
    priority: 4,
    cell: (_, symbol) => (
      <span className="row-actions">
        <RowButton
          className="buy"
          onClick={() => openTicket({ symbol, side: "buy" })}
          aria-label={`Buy ${symbol}`}
        >
          Buy
        </RowButton>
        <RowButton
          className="sell"
          onClick={() => openTicket({ symbol, side: "sell" })}
          aria-label={`Sell ${symbol}`}
        >
          Sell
        </RowButton>
      </span>
    ),
  };
}

function SymbolCell({ quote }: { readonly quote: Quote }) {
  return (
    <span className="symbol-cell">
      {quote.symbol}
      {quote.stale && (
        <span className="stale-mark" title="Nothing has confirmed this price for some seconds">
          stale
        </span>
      )}
    </span>
  );
}

function NoPrices({
  query,
  hasSymbols,
  onClear,
}: {
  readonly query: string;
  readonly hasSymbols: boolean;
  readonly onClear: () => void;
}) {
  const status = useConnection();
  if (hasSymbols && query !== "") {
    return (
      <EmptyState
        title={`No symbol matches “${query}”`}
        action={{ label: "Show all symbols", onPress: onClear }}
      />
    );
  }
  if (hasSymbols) return <EmptyState title="None of your symbols has a price yet" />;
  const text =
    status.name === "live"
      ? "The server is connected, but no market data has arrived yet. `tapewire status` says which feed is running."
      : "They appear as soon as the connection is live.";
  return <EmptyState title="Waiting for the first prices" text={text} />;
}
