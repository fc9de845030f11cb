import { useReadable, useTapewire } from "@tapewire/react";

import { useTerminal } from "../../app/terminal-context.js";
import { EmptyState, Time } from "../../components/index.js";
import type { PanelProps } from "../registry.js";
import "./metrics.css";

/** Totals, sentiment, tags and rates of the news items. */
export default function MetricsPanel({ headingId }: PanelProps) {
  const metrics = useReadable(useTapewire().itemMetrics);
  const { formats } = useTerminal();
  if (metrics === null) return <EmptyState title="Waiting for the first figures" />;
  const parts = [
    ["Positive", metrics.positive, "up"],
    ["Neutral", metrics.neutral, "level"],
    ["Negative", metrics.negative, "down"],
  ] as const;
  const most = Math.max(1, ...Object.values(metrics.tags));
  return (
    <div className="metrics">
      <dl className="facts">
        <dt>Items</dt>
        <dd>{formats.count(metrics.total)}</dd>
        <dt>In the last hour</dt>
        <dd>{formats.count(metrics.rates.last_hour)}</dd>
        <dt>In the last day</dt>
        <dd>
          {formats.count(metrics.rates.last_day)}, {formats.quantity(metrics.rates.per_hour)} an
          hour
        </dd>
        <dt>As of</dt>
        <dd>
          <Time value={metrics.timestamp} />
        </dd>
      </dl>
      <table className="plain-table" aria-labelledby={headingId}>
        <thead>
          <tr>
            <th scope="col">Sentiment</th>
            <th scope="col" className="num">
              Items
            </th>
            <th scope="col">Part</th>
          </tr>
        </thead>
        <tbody>
          {parts.map(([name, count, direction]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td className="num">{formats.count(count)}</td>
              <td>
                <Bar part={metrics.total === 0 ? 0 : count / metrics.total} direction={direction} />{" "}
                {formats.share(metrics.total === 0 ? 0 : count / metrics.total)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {Object.keys(metrics.tags).length > 0 && (
        <table className="plain-table">
          <caption>
            Most frequent tags
            {metrics.other_tags > 0 &&
              `, of ${formats.count(metrics.other_tags + Object.keys(metrics.tags).length)}`}
          </caption>
          <thead>
            <tr>
              <th scope="col">Tag</th>
              <th scope="col" className="num">
                Items
              </th>
              <td />
            </tr>
          </thead>
          <tbody>
            {Object.entries(metrics.tags).map(([tag, count]) => (
              <tr key={tag}>
                <th scope="row">#{tag}</th>
                <td className="num">{formats.count(count)}</td>
                <td>
                  <Bar part={count / most} direction="level" />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}

function Bar({ part, direction }: { readonly part: number; readonly direction: string }) {
  return (
    <span className="metric-bar" data-direction={direction} aria-hidden="true">
      <span style={{ inlineSize: `${(part * 100).toFixed(1)}%` }} />
    </span>
  );
}
