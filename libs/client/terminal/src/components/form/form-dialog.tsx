import { type ReactNode, useEffect, useRef } from "react";

import { Dialog } from "../dialog.js";
import { ErrorText } from "../error-text.js";
import type { Form } from "./use-form.js";

export interface FormDialogProps {
  readonly title: string;
  readonly form: Pick<Form<unknown>, "errors" | "isBusy" | "failures">;
  /** What the button does, as a verb, and what it says meanwhile. */
  readonly submitLabel: string;
  readonly busyLabel?: string;
  readonly cancelLabel?: string;
  /** Further buttons, before the others. */
  readonly buttons?: ReactNode;
  readonly children: ReactNode;
  readonly onSubmit: () => void;
  readonly onClose: () => void;
}

/** A form in a modal dialog. After a failed submit the first field with an error has the focus. */
export function FormDialog({
  title,
  form,
  submitLabel,
  busyLabel = "Saving…",
  cancelLabel = "Cancel",
  buttons,
  children,
  onSubmit,
  onClose,
}: FormDialogProps) {
  const element = useRef<HTMLFormElement>(null);
  const { errors, isBusy, failures } = form;
  useEffect(() => {
    if (failures === 0) return;
    element.current
      ?.querySelector<HTMLElement>('[aria-invalid="true"], [data-invalid="true"]')
      ?.focus();
  }, [failures]);
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        ref={element}
        className="dialog-form"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          onSubmit();
        }}
      >
        {children}
        <ErrorText isAlert>{errors.form}</ErrorText>
        <div className="dialog-buttons">
          {buttons}
          <button type="button" className="button" onClick={onClose}>
            {cancelLabel}
          </button>
          <button type="submit" className="button primary" aria-disabled={isBusy}>
            {isBusy ? busyLabel : submitLabel}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
