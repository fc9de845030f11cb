import type { BarInterval } from "@tapewire/client";
import { useBars, useConnection, useKeyed, useTapewire } from "@tapewire/react";
import type { KeyboardEvent } from "react";

import { Change, EmptyState, ErrorText, Percent, Price } from "../../components/index.js";
import type { ChartCanvas } from "./chart-canvas.js";
import { ChartSummary } from "./chart-summary.js";
import { useCanvas } from "./use-canvas.js";
import { useMarkers } from "./use-markers.js";

const MOVE_BARS = 5;

/** The bars of one symbol: its quote, the canvas with buttons that move it, and the same in words. */
export function SymbolChart({
  symbol,
  interval,
  headingId,
}: {
  readonly symbol: string;
  readonly interval: BarInterval;
  readonly headingId: string;
}) {
  const client = useTapewire();
  const connection = useConnection();
  const quote = useKeyed(client.prices, symbol);
  const series = useBars(symbol, interval);
  const markers = useMarkers(symbol, series.bars);
  const { element, canvas, error } = useCanvas(series.bars, markers);

  const isLive = connection.name === "live" && client.prices.isLive(symbol);
  return (
    <>
      {quote && (
        <p className="chart-quote" data-live={isLive}>
          <b>{symbol}</b> <Price value={quote.price} /> <Change value={quote.change} />{" "}
          <Percent value={quote.changePercent} />
          {!isLive && <span className="not-live"> Not live</span>}
        </p>
      )}
      <div className="chart-canvas-frame">
        <div
          ref={element}
          className="chart-canvas"
          role="img"
          aria-labelledby={headingId}
          aria-describedby={`${headingId}-summary`}
        />
        {series.bars.length === 0 && (
          <div className="chart-empty">
            {series.isLoaded ? (
              <EmptyState
                title={`No bars of ${symbol} yet`}
                text="The first one appears with its first price."
              />
            ) : (
              <EmptyState title="Loading the bars…" />
            )}
          </div>
        )}
      </div>
      <ErrorText>
        {error !== "" &&
          `The chart could not be drawn (${error}); the table below has the same bars.`}
      </ErrorText>
      <ChartSummary symbol={symbol} bars={series.bars} id={`${headingId}-summary`} />
      {canvas && <ChartControls canvas={canvas} />}
      <p className="chart-notice">
        Charts by{" "}
        <a href="https://www.tradingview.com/" rel="noreferrer" target="_blank">
          TradingView
        </a>{" "}
        Lightweight Charts™.
      </p>
    </>
  );
}

/** Moves the chart by buttons, and by keys while one of them has the focus. */
function ChartControls({ canvas }: { readonly canvas: ChartCanvas }) {
  const actions: readonly (readonly [key: string, label: string, act: () => void])[] = [
    ["ArrowLeft", "Older", () => canvas.move(-MOVE_BARS)],
    ["ArrowRight", "Newer", () => canvas.move(MOVE_BARS)],
    ["+", "Zoom in", () => canvas.zoom(1.25)],
    ["-", "Zoom out", () => canvas.zoom(0.8)],
    ["End", "Newest", () => canvas.showNewest()],
  ];

  function handleKey(event: KeyboardEvent) {
    const action = actions.find(([key]) => key === event.key);
    if (action === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action[2]();
  }

  return (
    <fieldset className="chart-controls">
      <legend className="sr-only">Move the chart: arrow keys, + and −, End</legend>
      {actions.map(([key, label, act]) => (
        <button
          key={key}
          type="button"
          className="button small"
          aria-keyshortcuts={key}
          onClick={act}
          onKeyDown={handleKey}
        >
          {label}
        </button>
      ))}
    </fieldset>
  );
}
