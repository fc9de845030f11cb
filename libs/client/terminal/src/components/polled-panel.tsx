import type { ReactNode } from "react";

import { EmptyState } from "./empty-state.js";
import type { Polled } from "./use-polled.js";
import { Age } from "./values.js";

export interface PolledPanelProps<T> {
  readonly polled: Polled<T>;
  /** Services that did not answer: what is shown may lack what they know. */
  readonly unanswered?: readonly string[] | undefined;
  readonly children: (value: T) => ReactNode;
}

/** What a call answered, how old that is, and what is missing. */
export function PolledPanel<T>({ polled, unanswered = [], children }: PolledPanelProps<T>) {
  const { value, at, error, refresh } = polled;
  if (value === null) {
    if (error === "") return <EmptyState title="Asking the server…" />;
    return (
      <EmptyState
        title="The server did not say"
        text={error}
        action={{ label: "Ask again", onPress: refresh }}
      />
    );
  }
  return (
    <div className="polled">
      {unanswered.length > 0 && (
        <p className="panel-note warn" role="status">
          Without an answer: {unanswered.join(", ")}. What they know is missing here.
        </p>
      )}
      {children(value)}
      <p className="panel-note">
        From <Age since={at} /> ago{error !== "" && `; the last question failed: ${error}`}{" "}
        <button type="button" className="link-button" onClick={refresh}>
          Ask now
        </button>
      </p>
    </div>
  );
}
