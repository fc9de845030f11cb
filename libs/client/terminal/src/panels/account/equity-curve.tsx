import type { EquityCurve as EquityPage } from "@tapewire/client";
import { useAccount, useTapewire } from "@tapewire/react";
import { useCallback, useEffect, useId, useState } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import { ErrorText, errorMessage, useNow } from "../../components/index.js";
import { type EquitySample, rangeOf, stepPath, thinned } from "./equity-path.js";

const WIDTH = 400;
const HEIGHT = 90;
const PAGE = 1_000;
/** The server takes a sample every minute. */
const RELOAD_MS = 60_000;
const TABLE_ROWS = 12;

/** The equity of the account over time, as a line, in words and as a table. */
export function EquityCurve() {
  const { formats } = useTerminal();
  const account = useAccount();
  const now = useNow();
  const { samples, error, retry } = useSamples();
  const titleId = useId();
  const live =
    account === null
      ? samples
      : [...samples, { at: Date.parse(account.timestamp), equity: account.equity }];
  const range = rangeOf(live, now);

  if (error !== "") {
    return (
      <div className="equity-curve">
        <ErrorText>The equity curve could not be loaded. {error}</ErrorText>
        <button type="button" className="button small" onClick={retry}>
          Load it again
        </button>
      </div>
    );
  }
  const first = live[0];
  const last = live.at(-1);
  if (range === null || first === undefined || last === undefined) return null;
  const summary =
    `From ${formats.money(first.equity)} on ${formats.dateTime(new Date(first.at))} to ${formats.money(last.equity)}, ` +
    `lowest ${formats.money(range.low)}, highest ${formats.money(range.high)}`;
  return (
    <figure className="equity-curve">
      <figcaption>Equity over time</figcaption>
      <svg
        viewBox={`0 -2 ${WIDTH} ${HEIGHT + 4}`}
        preserveAspectRatio="none"
        role="img"
        aria-labelledby={titleId}
        aria-describedby={`${titleId}-summary`}
      >
        <title id={titleId}>Equity over time</title>
        <path
          d={stepPath(thinned(live, WIDTH), range, WIDTH, HEIGHT)}
          fill="none"
          vectorEffect="non-scaling-stroke"
        />
      </svg>
      <p className="summary" id={`${titleId}-summary`}>
        {summary}.
      </p>
      <details>
        <summary>As a table</summary>
        <table className="plain-table">
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col">Equity</th>
            </tr>
          </thead>
          <tbody>
            {[...thinned(live, TABLE_ROWS)].reverse().map(({ at, equity }) => (
              <tr key={at}>
                <td>{formats.dateTime(new Date(at))}</td>
                <td className="num">{formats.money(equity)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}

/** The samples of the server, the oldest first, loaded again every minute while the page is visible. */
function useSamples() {
  const client = useTapewire();
  const [samples, setSamples] = useState<readonly EquitySample[]>([]);
  const [error, setError] = useState("");

  const load = useCallback(
    async (signal: AbortSignal) => {
      try {
        const page = await client.call<EquityPage>(
          "GET",
          `/api/account/equity?limit=${PAGE}`,
          undefined,
          { signal },
        );
        setSamples(
          page.points
            .map(({ timestamp, equity }) => ({ at: Date.parse(timestamp), equity }))
            .reverse(),
        );
        setError("");
      } catch (reason) {
        if (!signal.aborted) setError(errorMessage(reason));
      }
    },
    [client],
  );

  useEffect(() => {
    const abort = new AbortController();
    void load(abort.signal);
    const timer = setInterval(() => document.hidden || void load(abort.signal), RELOAD_MS);
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  }, [load]);

  return { samples, error, retry: () => void load(new AbortController().signal) };
}
