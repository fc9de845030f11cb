import { ApiError, type Explanation } from "@tapewire/client";
import { useCommand, useSession } from "@tapewire/react";
import type { FormEvent } from "react";

import { useStoredState } from "../../app/stored-state.js";
import { useTerminal } from "../../app/terminal-context.js";
import { ErrorText, errorMessage, TextField, Time } from "../../components/index.js";
import type { PanelProps } from "../registry.js";
import "./explain.css";

/** Why a user saw an event, or did not: what is stored, which streams show it, and where the user's connections are. */
export default function ExplainPanel(_props: PanelProps) {
  const session = useSession();
  const self = session.name === "signed-in" ? session.userId : "";
  const [user, setUser] = useStoredState("explain.user", self);
  const [event, setEvent] = useStoredState("explain.event", "");
  const explain = useCommand((client, options, forUser: string, eventId: string) => {
    const query = new URLSearchParams({ user: forUser, event: eventId });
    return client.call<Explanation>("GET", `/api/operations/explain?${query}`, undefined, options);
  });
  const field = explain.error instanceof ApiError ? explain.error.field : undefined;
  const errorOf = (name: string) =>
    field === name && explain.error ? errorMessage(explain.error) : undefined;

  function submit(submitted: FormEvent) {
    submitted.preventDefault();
    explain.run(user.trim(), event.trim()).catch(() => undefined);
  }

  return (
    <div className="explain">
      <form className="form-grid" onSubmit={submit} noValidate>
        <TextField label="User" value={user} onChange={setUser} error={errorOf("user")} />
        <TextField
          label="Event"
          unit="an id, or a sequence"
          value={event}
          onChange={setEvent}
          error={errorOf("event")}
          spellCheck={false}
        />
        <div className="explain-submit">
          <button type="submit" className="button primary" aria-disabled={explain.isPending}>
            {explain.isPending ? "Asking…" : "Explain"}
          </button>
        </div>
        <ErrorText isAlert>
          {explain.error && field !== "user" && field !== "event"
            ? errorMessage(explain.error)
            : ""}
        </ErrorText>
      </form>
      {explain.result ? (
        <Answer explanation={explain.result} />
      ) : (
        <p className="panel-note">
          Every event of a stream has an id. The panel “Journal” names the last one.
        </p>
      )}
    </div>
  );
}

function Answer({ explanation }: { readonly explanation: Explanation }) {
  const { formats } = useTerminal();
  const { event, reasons, streams, connections, unanswered } = explanation;
  return (
    <section aria-label="The explanation" className="explanation">
      <ul role="status">
        {reasons.map(({ code, message }) => (
          <li key={`${code} ${message}`}>{message}</li>
        ))}
      </ul>
      {unanswered.length > 0 && (
        <p className="panel-note warn">Without an answer: {unanswered.join(", ")}.</p>
      )}
      {event && (
        <dl className="facts">
          <dt>Event</dt>
          <dd>
            {event.type} of {event.owner}, {event.domain} {event.entity}
          </dd>
          <dt>Stored</dt>
          <dd>
            <Time value={event.storedAt} show="dateTime" />
          </dd>
          <dt>Correlation id</dt>
          <dd>{event.correlationId}</dd>
          <dt>Shown on</dt>
          <dd>
            {streams.length === 0
              ? "no stream"
              : streams.map(({ path, event: name }) => `${path} as ${name}`).join(", ")}
          </dd>
        </dl>
      )}
      {connections.length > 0 && (
        <table className="plain-table">
          <caption>Connections of {explanation.user}</caption>
          <thead>
            <tr>
              <th scope="col">Connection</th>
              <th scope="col">Stream</th>
              <th scope="col" className="num">
                Events behind
              </th>
              <th scope="col">The event</th>
            </tr>
          </thead>
          <tbody>
            {connections.map(({ clientId, stream, behind, delivery }) => (
              <tr key={clientId}>
                <th scope="row" title={clientId}>
                  {clientId.slice(0, 14)}
                </th>
                <td>{stream}</td>
                <td className="num">{formats.count(behind)}</td>
                <td>{delivery.replaceAll("_", " ")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
