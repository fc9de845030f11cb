import type { JournalOverview, ParkedEvent } from "@tapewire/client";

import { useTerminal } from "../../app/terminal-context.js";
import { EmptyState, Time } from "../../components/index.js";
import { PolledPanel } from "../../components/polled-panel.js";
import { usePolled } from "../../components/use-polled.js";
import type { PanelProps } from "../registry.js";

const EVERY_MS = 5_000;
/** Days that are left below which the journal wants to be archived. */
const FEW_DAYS = 7;

/** How full the journal is, how long it lasts, and which events services could not handle. */
export default function JournalPanel({ headingId }: PanelProps) {
  const polled = usePolled<JournalOverview>("/api/operations/journal", EVERY_MS);
  const { formats } = useTerminal();
  return (
    <PolledPanel polled={polled}>
      {(journal) => {
        const { byteCount, maxBytes, daysLeft } = journal;
        const part =
          byteCount !== null && maxBytes !== null && maxBytes > 0 ? byteCount / maxBytes : null;
        return (
          <>
            <dl className="facts">
              <dt>Size</dt>
              <dd>
                {formats.bytes(byteCount)}
                {part !== null && ` of ${formats.bytes(maxBytes)} (${formats.share(part)})`}
              </dd>
              <dt>Events</dt>
              <dd>{formats.count(journal.eventCount)}</dd>
              <dt>Grows by</dt>
              <dd>
                {journal.bytesPerDay === null
                  ? "not known yet"
                  : `${formats.bytes(journal.bytesPerDay)} a day`}
              </dd>
              <dt>Lasts for</dt>
              <dd>{daysLeft === null ? "not known yet" : `${formats.count(daysLeft)} days`}</dd>
              <dt>First and last event</dt>
              <dd>
                {journal.firstId ?? "none"}, {journal.lastId ?? "none"}
              </dd>
            </dl>
            {part !== null && (
              <meter
                className="journal-meter"
                aria-label="How full the journal is"
                min={0}
                max={1}
                high={0.8}
                optimum={0}
                value={part}
              />
            )}
            {daysLeft !== null && daysLeft < FEW_DAYS && (
              <p className="panel-note warn" role="status">
                The journal is full in {formats.count(daysLeft)} days.{" "}
                <code>tapewire journal archive</code> makes room.
              </p>
            )}
            {journal.parked.length === 0 ? (
              <EmptyState
                title="No event is parked"
                text="Every event was handled by every service that reads it."
              />
            ) : (
              <Parked
                parked={journal.parked}
                hasMore={journal.hasMoreParked}
                labelledBy={headingId}
              />
            )}
          </>
        );
      }}
    </PolledPanel>
  );
}

function Parked({
  parked,
  hasMore,
  labelledBy,
}: {
  readonly parked: readonly ParkedEvent[];
  readonly hasMore: boolean;
  readonly labelledBy: string;
}) {
  const { formats } = useTerminal();
  return (
    <>
      <table className="plain-table" aria-labelledby={labelledBy}>
        <caption>Events that a service could not handle</caption>
        <thead>
          <tr>
            <th scope="col">Reader</th>
            <th scope="col">Event</th>
            <th scope="col" className="num">
              Tries
            </th>
            <th scope="col">Error</th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody>
          {parked.map((event) => (
            <tr key={`${event.subscription} ${event.sequence}`}>
              <th scope="row">{event.subscription}</th>
              <td title={event.subject}>
                {event.type} ({event.sequence})
              </td>
              <td className="num">{formats.count(event.attempts)}</td>
              <td>{event.error}</td>
              <td>
                {event.isParked ? "parked" : "tried again"}{" "}
                {event.nextAttemptAt !== null && <Time value={event.nextAttemptAt} show="time" />}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="panel-note">
        {hasMore && "There are more. "}
        <code>tapewire parked show READER SEQUENCE</code> shows one; <code>parked retry</code> and{" "}
        <code>parked drop</code> end it.
      </p>
    </>
  );
}
