import type { SessionState } from "@tapewire/client";
import { useReadable, useTapewire } from "@tapewire/react";
import { useState } from "react";
import { describeReset, describeSession } from "./status-text.js";
import { useFormats } from "./terminal-context.js";

export interface ShellNoticesProps {
  readonly account: { readonly notice: string | null; readonly dismiss: () => void };
  readonly session: SessionState;
  readonly onSignIn: () => void;
}

/** What has happened and must not be overlooked: a reset of the stream, a change of the account. */
export function ShellNotices({ account, session, onSignIn }: ShellNoticesProps) {
  const { connection } = useTapewire();
  const formats = useFormats();
  const reset = useReadable(connection.lastReset);
  const [dismissedReset, setDismissedReset] = useState<number | null>(null);
  const resetText =
    reset === null || reset.at === dismissedReset
      ? null
      : describeReset(reset, formats.time(reset.at));
  const isSignedOut = session.name === "signed-out";
  return (
    <>
      {session.name === "unreachable" && (
        <div className="strip" data-tone="warn">
          <p>{describeSession(session)}</p>
        </div>
      )}
      {account.notice !== null && (
        <div className="strip" data-tone="warn">
          <p>
            <strong>{account.notice}</strong>
          </p>
          {isSignedOut && (
            <button type="button" className="button small" onClick={onSignIn}>
              Sign in
            </button>
          )}
          <button type="button" className="button small" onClick={account.dismiss}>
            Close
          </button>
        </div>
      )}
      {resetText !== null && (
        <div className="strip" data-tone="warn">
          <p>
            <strong>{resetText.title}</strong> {resetText.text}
          </p>
          <button
            type="button"
            className="button small"
            onClick={() => setDismissedReset(reset?.at ?? null)}
          >
            Close
          </button>
        </div>
      )}
    </>
  );
}
