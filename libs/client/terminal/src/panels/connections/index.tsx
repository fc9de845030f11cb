import type { ConnectionOverview } from "@tapewire/client";

import { useTerminal } from "../../app/terminal-context.js";
import { PolledPanel } from "../../components/polled-panel.js";
import { usePolled } from "../../components/use-polled.js";
import type { PanelProps } from "../registry.js";

const EVERY_MS = 2_000;

/** Connections by stream, user and process, the slowest readers, and why streams were reset or closed. */
export default function ConnectionsPanel({ headingId }: PanelProps) {
  const polled = usePolled<ConnectionOverview>("/api/operations/connections", EVERY_MS);
  const { formats } = useTerminal();
  return (
    <PolledPanel polled={polled} unanswered={polled.value?.unanswered}>
      {({ totalClients, totalUsers, byStream, byUser, slowest, processes }) => (
        <>
          <dl className="facts">
            <dt>Connections</dt>
            <dd>{formats.count(totalClients)}</dd>
            <dt>Users</dt>
            <dd>{formats.count(totalUsers)}</dd>
          </dl>
          <Counts caption="By stream" name="Stream" counts={Object.entries(byStream)} />
          <Counts
            caption="By user"
            name="User"
            counts={byUser.map(({ userId, clientCount }) => [userId, clientCount])}
          />
          <table className="plain-table" aria-labelledby={headingId}>
            <caption>
              {slowest.length === 0
                ? "No connection is slow: all have received what there is."
                : "Slowest readers"}
            </caption>
            <thead hidden={slowest.length === 0}>
              <tr>
                <th scope="col">Connection</th>
                <th scope="col">User</th>
                <th scope="col">Stream</th>
                <th scope="col" className="num">
                  Events behind
                </th>
                <th scope="col" className="num">
                  Waiting to be sent
                </th>
                <th scope="col" className="num">
                  Last write took
                </th>
              </tr>
            </thead>
            <tbody>
              {slowest.map((connection) => (
                <tr key={connection.clientId}>
                  <th scope="row" title={connection.clientId}>
                    {connection.clientId.slice(0, 14)}
                  </th>
                  <td>{connection.userId ?? "nobody"}</td>
                  <td title={connection.topics.join(", ")}>{connection.stream}</td>
                  <td className="num">{formats.count(connection.behind)}</td>
                  <td className="num">{formats.bytes(connection.outboxBytes)}</td>
                  <td className="num">{formats.duration(connection.writeSeconds)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <table className="plain-table">
            <caption>Processes of the edge</caption>
            <thead>
              <tr>
                <th scope="col">Process</th>
                <th scope="col" className="num">
                  Connections
                </th>
                <th scope="col">Closed</th>
                <th scope="col">Reset</th>
                <th scope="col">State</th>
              </tr>
            </thead>
            <tbody>
              {processes.map(
                ({ instance, connections, closed, resets, isDraining, followsLog }) => (
                  <tr key={instance}>
                    <th scope="row">{instance}</th>
                    <td className="num">{formats.count(connections)}</td>
                    <td>{inWords(closed, formats.count)}</td>
                    <td>{inWords(resets, formats.count)}</td>
                    <td>
                      {isDraining
                        ? "stops"
                        : followsLog
                          ? "follows the journal"
                          : "has lost the journal"}
                    </td>
                  </tr>
                ),
              )}
            </tbody>
          </table>
        </>
      )}
    </PolledPanel>
  );
}

/** "limit 2, slow 1"; "none" for nothing. */
function inWords(
  counts: Readonly<Record<string, number>>,
  count: (value: number) => string,
): string {
  const parts = Object.entries(counts).filter(([, value]) => value > 0);
  return parts.length === 0
    ? "none"
    : parts.map(([name, value]) => `${name} ${count(value)}`).join(", ");
}

function Counts({
  caption,
  name,
  counts,
}: {
  readonly caption: string;
  readonly name: string;
  readonly counts: readonly (readonly [string, number])[];
}) {
  const { formats } = useTerminal();
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  return (
    <table className="plain-table">
      <caption>{caption}</caption>
      <thead>
        <tr>
          <th scope="col">{name}</th>
          <th scope="col" className="num">
            Connections
          </th>
        </tr>
      </thead>
      <tbody>
        {sorted.map(([key, value]) => (
          <tr key={key}>
            <th scope="row">{key}</th>
            <td className="num">{formats.count(value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
