import { type ReactNode, useEffect, useRef } from "react";
import { Dialog as AriaDialog } from "react-aria-components/Dialog";
import { Heading } from "react-aria-components/Heading";
import { Modal, ModalOverlay } from "react-aria-components/Modal";

import { ReactAria } from "./react-aria.js";
import "./dialog.css";

export interface DialogProps {
  readonly title: string;
  readonly children: ReactNode;
  readonly onClose: () => void;
  readonly role?: "dialog" | "alertdialog";
  readonly className?: string;
}

/**
 * A modal dialog: the rest of the page is inert, and Esc closes. A press beside it closes it as well,
 * unless it asks something. Render it to open it.
 *
 * It is in no file of the first view, because React Aria is large: open dialogs by `lazyDialog`.
 */
export function Dialog({ title, children, onClose, role = "dialog", className = "" }: DialogProps) {
  return (
    <ReactAria>
      <ModalOverlay
        isOpen
        isDismissable={role === "dialog"}
        onOpenChange={onClose}
        className="dialog-overlay"
      >
        <Modal className={`dialog ${className}`}>
          <AriaDialog role={role} className="dialog-body">
            <Heading slot="title">{title}</Heading>
            <FocusGoesIn>{children}</FocusGoesIn>
          </AriaDialog>
        </Modal>
      </ModalOverlay>
    </ReactAria>
  );
}

const CONTROL = "input:not(:disabled), select, textarea, button, a[href]";

/** The focus goes to what wants it, else to the first control, and back to where it was. */
function FocusGoesIn({ children }: { readonly children: ReactNode }) {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const places = placesAround(document.activeElement);
    const content = ref.current;
    const wanted = content?.querySelector<HTMLElement>("[data-autofocus]");
    (wanted ?? content?.querySelector<HTMLElement>(CONTROL))?.focus();
    return () => places.find((place) => place?.isConnected)?.focus();
  }, []);
  return (
    <div ref={ref} className="dialog-content">
      {children}
    </div>
  );
}

/** An element, its row, the heading of its panel, the page: it may be gone, as “Stop” is after a stop. */
function placesAround(element: Element | null): readonly (HTMLElement | null | undefined)[] {
  return [
    element instanceof HTMLElement && element !== document.body ? element : null,
    element?.closest("tr"),
    element?.closest(".panel")?.querySelector<HTMLElement>(".panel-title"),
    document.getElementById("main"),
  ];
}
