import { type ReactNode, useState } from "react";

import { Dialog } from "./dialog.js";
import { ErrorText, errorMessage } from "./error-text.js";

export interface ConfirmDialogProps {
  readonly title: string;
  readonly children: ReactNode;
  /** What happens, as a verb: "Place the order". Never "OK". */
  readonly confirmLabel: string;
  readonly cancelLabel?: string;
  readonly isDangerous?: boolean;
  /** The dialog closes when it is done; an error stays in the dialog. */
  readonly onConfirm: () => void | Promise<void>;
  readonly onClose: () => void;
}

/** A question before something that cannot be undone. Render it to ask; the focus is on "cancel". */
export function ConfirmDialog(props: ConfirmDialogProps) {
  const {
    title,
    children,
    confirmLabel,
    cancelLabel = "Cancel",
    isDangerous = false,
    onConfirm,
    onClose,
  } = props;
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState("");

  async function confirm() {
    setBusy(true);
    setError("");
    try {
      await onConfirm();
      onClose();
    } catch (reason) {
      setError(errorMessage(reason));
      setBusy(false);
    }
  }

  return (
    <Dialog title={title} role="alertdialog" onClose={onClose}>
      <div className="dialog-text">{children}</div>
      <ErrorText isAlert>{error}</ErrorText>
      <div className="dialog-buttons">
        <button type="button" className="button" onClick={onClose} data-autofocus>
          {cancelLabel}
        </button>
        <button
          type="button"
          className={isDangerous ? "button danger" : "button primary"}
          aria-disabled={isBusy}
          onClick={() => void (isBusy || confirm())}
        >
          {confirmLabel}
        </button>
      </div>
    </Dialog>
  );
}
