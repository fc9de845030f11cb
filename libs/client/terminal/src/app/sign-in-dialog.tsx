import { useReadable, useTapewire } from "@tapewire/react";
import { type FormEvent, useState } from "react";

import { Dialog } from "../components/dialog.js";
import { ErrorText, errorMessage } from "../components/error-text.js";
import { describeSession } from "./status-text.js";

/** The development sign-in. */
export default function SignInDialog({ onClose }: { readonly onClose: () => void }) {
  const client = useTapewire();
  const session = useReadable(client.session);
  const [userId, setUserId] = useState("");
  const [isAdmin, setAdmin] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [fieldError, setFieldError] = useState("");
  const [formError, setFormError] = useState("");

  async function signIn(event: FormEvent) {
    event.preventDefault();
    const name = userId.trim();
    setFormError("");
    setFieldError(name === "" ? "Enter a user name." : "");
    if (name === "" || isBusy) return;
    setBusy(true);
    try {
      await client.signIn(name, isAdmin ? ["admin"] : []);
      onClose();
    } catch (error) {
      const { field, text } = describeRefusal(error);
      if (field === "userId") setFieldError(text);
      else setFormError(text);
    } finally {
      setBusy(false);
    }
  }

  return (
    <Dialog title="Sign in" onClose={onClose}>
      <form className="sign-in-form" noValidate onSubmit={(event) => void signIn(event)}>
        {describeSession(session) !== "" && <p>{describeSession(session)}</p>}
        <ErrorText isAlert>{formError}</ErrorText>
        <div className="field">
          <label htmlFor="sign-in-user">User name</label>
          <input
            id="sign-in-user"
            name="userId"
            className="input"
            type="text"
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            data-autofocus
            value={userId}
            onChange={(event) => setUserId(event.target.value)}
            aria-invalid={fieldError !== ""}
            aria-describedby="sign-in-error sign-in-help"
          />
          <ErrorText id="sign-in-error">{fieldError}</ErrorText>
          <p className="help" id="sign-in-help">
            This is the development sign-in: any name works, and there is no password. Production
            servers switch it off.
          </p>
        </div>
        <label className="check">
          <input
            type="checkbox"
            name="admin"
            checked={isAdmin}
            onChange={(event) => setAdmin(event.target.checked)}
          />
          With the role “admin”, for the page Operations
        </label>
        <div className="dialog-buttons">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button primary" aria-disabled={isBusy}>
            {isBusy ? "Signing in…" : "Sign in"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function describeRefusal(error: unknown): { field: string | undefined; text: string } {
  const { statusCode, field } = error as { statusCode?: number; field?: string };
  const isSwitchedOff = statusCode === 403 || statusCode === 404;
  const text = isSwitchedOff
    ? "The development sign-in is switched off on this server. Sign in through your own system, then open this page again."
    : errorMessage(error);
  return { field, text };
}
