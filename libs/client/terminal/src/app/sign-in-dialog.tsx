import { useReadable, useTapewire } from "@tapewire/react";

import { TextField } from "../components/form/field.js";
import { FormDialog } from "../components/form/form-dialog.js";
import { useForm } from "../components/form/use-form.js";
import { describeSession } from "./status-text.js";

/** The development sign-in. */
export function SignInDialog({ onClose }: { readonly onClose: () => void }) {
  const client = useTapewire();
  const session = useReadable(client.session);
  const form = useForm({ userId: "", isAdmin: false }, ({ field }) =>
    field === "userId" ? field : undefined,
  );
  const { fields, errors, change } = form;
  const name = fields.userId.trim();

  const signIn = () =>
    form.submit(
      name === "" ? { errors: { userId: "Enter a user name." } } : { body: name },
      async (userId) => {
        await client.signIn(userId, fields.isAdmin ? ["admin"] : []).catch(explainRefusal);
        onClose();
      },
    );

  return (
    <FormDialog
      title="Sign in"
      form={form}
      submitLabel="Sign in"
      busyLabel="Signing in…"
      onSubmit={signIn}
      onClose={onClose}
    >
      {describeSession(session) !== "" && <p>{describeSession(session)}</p>}
      <TextField
        label="User name"
        name="userId"
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        data-autofocus
        value={fields.userId}
        onChange={(userId) => change({ userId })}
        error={errors.userId}
        help="This is the development sign-in: any name works, and there is no password. Production servers switch it off."
      />
      <label className="check">
        <input
          type="checkbox"
          name="admin"
          checked={fields.isAdmin}
          onChange={({ target }) => change({ isAdmin: target.checked })}
        />
        With the role “admin”, for the page Operations
      </label>
    </FormDialog>
  );
}

/** @throws Error which says what to do where this sign-in is switched off; any other as it is */
function explainRefusal(error: unknown): never {
  const { statusCode } = error as { statusCode?: number };
  if (statusCode !== 403 && statusCode !== 404) throw error;
  throw new Error(
    "The development sign-in is switched off on this server. Sign in through your own system, then open this page again.",
  );
}
