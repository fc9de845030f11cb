import type { Bar, BarInterval, Decision, Trade } from "@tapewire/client";
import {
  useBars,
  useConnection,
  useKeyed,
  useKeys,
  useSession,
  useTapewire,
} from "@tapewire/react";
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";

import { useStoredState } from "../../app/stored-state.js";
import { useTerminal } from "../../app/terminal-context.js";
import { Choice } from "../../components/choice.js";
import {
  Change,
  EmptyState,
  ErrorText,
  errorMessage,
  PanelToolbar,
  Percent,
  Price,
} from "../../components/index.js";
import { SymbolField } from "../../components/symbol-field.js";
import { sideWord } from "../blotter/order-words.js";
import type { PanelProps } from "../registry.js";
import type { ChartCanvas } from "./chart-canvas.js";
import { epochSeconds, markersOf, summaryOf } from "./chart-data.js";
import "./chart.css";

const INTERVALS: readonly (readonly [BarInterval, string])[] = [
  ["1s", "1 s"],
  ["1m", "1 min"],
  ["5m", "5 min"],
  ["1d", "1 day"],
];
const isInterval = (value: unknown) => INTERVALS.some(([interval]) => interval === value);
/** Rows of the table of bars. */
const TABLE_ROWS = 30;
const MOVE_BARS = 5;

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

function SymbolChart({
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
      <Summary symbol={symbol} bars={series.bars} id={`${headingId}-summary`} />
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

const NO_MARKS: readonly never[] = [];

/** The user's fills and the signals of strategies on these bars. */
function useMarkers(symbol: string, bars: readonly Bar[]) {
  const client = useTapewire();
  const { formats } = useTerminal();
  const isSignedIn = useSession().name === "signed-in";
  const tradeIds = useKeys(client.trades);
  const decisionIds = useKeys(client.decisions);
  const starts = useStarts(bars);
  return useMemo(() => {
    if (!isSignedIn) return NO_MARKS;
    const trades = tradeIds
      .map((id) => client.trades.get(id))
      .filter((trade): trade is Trade => trade !== undefined);
    const decisions = decisionIds
      .map((id) => client.decisions.get(id))
      .filter((decision): decision is Decision => decision !== undefined);
    return markersOf(symbol, starts, trades, decisions, {
      fill: ({ side, qty, price }) =>
        `${sideWord(side)} ${formats.quantity(qty)} at ${formats.price(price)}`,
      signal: ({ action, confidence }) => `Signal: ${action} (${formats.share(confidence)})`,
    });
  }, [client, formats, isSignedIn, symbol, tradeIds, decisionIds, starts]);
}

/** The starts of the bars; the same array while only the last bar changes. */
function useStarts(bars: readonly Bar[]): readonly number[] {
  const [first, last, count] = [bars[0]?.start, bars.at(-1)?.start, bars.length];
  const known = useRef({ key: "", starts: [] as readonly number[] });
  const key = `${first} ${last} ${count}`;
  if (known.current.key !== key) {
    known.current = { key, starts: bars.map(({ start }) => epochSeconds(start)) };
  }
  return known.current.starts;
}

/** The canvas in an element, kept up to date; null until its chunk is loaded. */
function useCanvas(bars: readonly Bar[], markers: ReturnType<typeof useMarkers>) {
  const { formats } = useTerminal();
  const element = useRef<HTMLDivElement>(null);
  const [canvas, setCanvas] = useState<ChartCanvas | null>(null);
  const [error, setError] = useState("");

  useEffect(() => {
    let isGone = false;
    let made: ChartCanvas | null = null;
    let stopFollowing = () => {};
    const words = {
      time: (seconds: number) => formats.time(new Date(seconds * 1000)),
      price: formats.price,
    };
    import("./chart-canvas.js").then(
      ({ ChartCanvas: Canvas }) => {
        if (isGone || !element.current) return;
        made = new Canvas(element.current, words);
        stopFollowing = followTheme(() => made?.applyTheme());
        setCanvas(made);
      },
      (reason: unknown) => setError(errorMessage(reason)),
    );
    return () => {
      isGone = true;
      stopFollowing();
      made?.remove();
      setCanvas(null);
    };
  }, [formats]);

  useEffect(() => canvas?.show(bars), [canvas, bars]);
  useEffect(() => {
    // Markers need the bars that they stand on.
    if (bars.length > 0) canvas?.showMarkers(markers);
  }, [canvas, markers, bars.length]);
  return { element, canvas, error };
}

/** Call `onChange` after the theme changed, by the user's choice or the system's. */
function followTheme(onChange: () => void): () => void {
  const observer = new MutationObserver(onChange);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  const query = matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", onChange);
  return () => {
    observer.disconnect();
    query.removeEventListener("change", onChange);
  };
}

function Summary({
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
