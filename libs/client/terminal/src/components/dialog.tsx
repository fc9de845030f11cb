import { type ReactNode, useEffect, useId, useRef } from "react";

export interface DialogProps {
  readonly title: string;
  readonly children: ReactNode;
  readonly onClose: () => void;
  readonly role?: "dialog" | "alertdialog";
  readonly className?: string;
}

/**
 * A modal dialog on the browser's own `<dialog>`: the rest of the page is inert, Esc closes, and the
 * focus goes back to where it was. Render it to open it.
 */
export function Dialog({ title, children, onClose, role = "dialog", className = "" }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const dialog = ref.current;
    if (dialog === null) return;
    const opener = document.activeElement;
    if (!dialog.open) dialog.showModal();
    dialog.querySelector<HTMLElement>("[data-autofocus]")?.focus();
    return () => {
      dialog.close();
      // A button may be gone that opened it: "Sign in" after the sign-in.
      const hasOpener = opener instanceof HTMLElement && opener.isConnected;
      (hasOpener ? opener : document.getElementById("main"))?.focus();
    };
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Esc does what a press on the backdrop does.
    <dialog
      ref={ref}
      role={role}
      aria-labelledby={titleId}
      className={`dialog ${className}`}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === ref.current && role === "dialog") onClose();
      }}
    >
      <div className="dialog-body">
        <h2 id={titleId}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}
