import type { ServiceLag, ServiceOverview } from "@tapewire/client";

import { useTerminal } from "../../app/terminal-context.js";
import { Time } from "../../components/index.js";
import { PolledPanel } from "../../components/polled-panel.js";
import { StateChip } from "../../components/service-state.js";
import { usePolled } from "../../components/use-polled.js";
import type { PanelProps } from "../registry.js";

const EVERY_MS = 2_000;

/** The processes of all services, and how many events each has not handled yet. */
export default function ServicesPanel({ headingId }: PanelProps) {
  const polled = usePolled<ServiceOverview>("/api/operations/services", EVERY_MS);
  const { formats } = useTerminal();
  return (
    <PolledPanel polled={polled} unanswered={polled.value?.unanswered}>
      {({ instances, lags }) => (
        <>
          <table className="plain-table" aria-labelledby={headingId}>
            <thead>
              <tr>
                <th scope="col">Service</th>
                <th scope="col">Process</th>
                <th scope="col">State</th>
                <th scope="col">Since</th>
              </tr>
            </thead>
            <tbody>
              {instances.map(({ service, instance, state, detail, since }) => (
                <tr key={`${service}/${instance}`}>
                  <th scope="row">{service}</th>
                  <td>{instance}</td>
                  <td>
                    <StateChip state={state} detail={detail} />
                  </td>
                  <td>
                    <Time value={since} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          <table className="plain-table">
            <caption>How far behind the journal they are</caption>
            <thead>
              <tr>
                <th scope="col">Service</th>
                <th scope="col">Reads</th>
                <th scope="col" className="num">
                  Events behind
                </th>
                <th scope="col">Position</th>
              </tr>
            </thead>
            <tbody>
              {slowestOfEach(lags).map(({ service, filter, position, behind }) => (
                <tr key={`${service} ${filter}`} data-tone={behind > 0 ? "warn" : undefined}>
                  <th scope="row">{service}</th>
                  <td>{filter}</td>
                  <td className="num">{formats.count(behind)}</td>
                  <td>{position}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </PolledPanel>
  );
}

/** The consumer that is furthest behind, of those of one service that read the same. */
function slowestOfEach(lags: readonly ServiceLag[]): readonly ServiceLag[] {
  const slowest = new Map<string, ServiceLag>();
  for (const lag of lags) {
    const key = `${lag.service} ${lag.filter}`;
    if (lag.behind > (slowest.get(key)?.behind ?? -1)) slowest.set(key, lag);
  }
  return [...slowest.values()];
}
