import { useReadable, useTapewire } from "@tapewire/react";
import { useNow } from "../components/now.js";
import { Age, Time } from "../components/values.js";
import { describeStatus, describeTransport, type StatusText } from "./status-text.js";

/** The state of the connection in a word, and how old the last event is. */
export function StatusBar() {
  const { connection } = useTapewire();
  const text = describeStatus(useReadable(connection.status));
  const lastEventAt = useLastEventAt();
  const transport = useReadable(connection.transport);
  return (
    <div className="status-bar" data-tone={text.tone}>
      <span className="status-mark" aria-hidden="true" />
      <span className="status-word">{text.word}</span>
      {lastEventAt !== null && (
        <span className="status-part">
          last event <Time value={lastEventAt} show="time" />, <Age since={lastEventAt} /> ago
        </span>
      )}
      {lastEventAt === null && <span className="status-part">no event yet</span>}
      <span className="status-part status-transport">{describeTransport(transport)}</span>
    </div>
  );
}

/** What is wrong, in a sentence, with the next step. Hidden while all is well. */
export function StatusStrip({ text }: { readonly text: StatusText }) {
  const { connection } = useTapewire();
  const lastEventAt = useLastEventAt();
  if (text.tone === "good") return null;
  return (
    <div className="strip" data-tone={text.tone}>
      <span className="strip-mark" aria-hidden="true">
        {text.tone === "busy" ? "…" : "⚠"}
      </span>
      <p>
        <strong>{text.sentence}</strong> {text.more}
        {!text.isLive && text.tone !== "busy" && lastEventAt !== null && (
          <>
            {" "}
            The last event came at <Time value={lastEventAt} show="time" />,{" "}
            <Age since={lastEventAt} /> ago.
          </>
        )}
        {text.retryAt !== null && <Countdown to={text.retryAt} />}
      </p>
      {text.retryAt !== null && (
        <button type="button" className="button small" onClick={() => connection.retryNow()}>
          Try now
        </button>
      )}
      {text.word === "Refused" && (
        <button type="button" className="button small" onClick={() => location.reload()}>
          Load again
        </button>
      )}
    </div>
  );
}

/** When the last event came, read once a second: events come by the hundred. */
function useLastEventAt(): number | null {
  const { connection } = useTapewire();
  useNow();
  return connection.lastEventAt.get();
}

/** Screen readers hear the state once, not the seconds. */
function Countdown({ to }: { readonly to: number }) {
  const seconds = Math.ceil((to - useNow()) / 1000);
  return (
    <span aria-hidden="true"> {seconds > 0 ? `Next try in ${seconds} s.` : "Trying now."}</span>
  );
}
