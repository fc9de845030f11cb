import { type ReactNode, useEffect, useId, useRef } from "react";

export interface PopoverProps {
  /** The content of the button that opens it. */
  readonly button: ReactNode;
  /** The button's name, when its content is a symbol. */
  readonly label?: string;
  readonly buttonClass?: string;
  /** The name of what opens. */
  readonly title: string;
  readonly children: ReactNode;
  readonly onClose?: () => void;
}

const MARGIN = 8;

/**
 * A button with a box of controls that opens below it, on the browser's own popover: Esc and a press
 * elsewhere close it, and the focus goes back to the button.
 */
export function Popover({
  button,
  label,
  buttonClass = "icon-button",
  title,
  children,
  onClose,
}: PopoverProps) {
  const id = useId();
  const opener = useRef<HTMLButtonElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const close = useRef(onClose);
  useEffect(() => {
    close.current = onClose;
  });

  useEffect(() => {
    const element = box.current;
    const button = opener.current;
    if (element === null || button === null) return;
    const handleToggle = (event: ToggleEvent) => {
      const isOpen = event.newState === "open";
      button.setAttribute("aria-expanded", String(isOpen));
      if (isOpen)
        element.querySelector<HTMLElement>("button:not(:disabled), input, select, a")?.focus();
      else close.current?.();
    };
    const handleBeforeToggle = (event: ToggleEvent) => {
      // Sizes are known once it is shown.
      if (event.newState === "open") requestAnimationFrame(() => position(element, button));
    };
    element.addEventListener("toggle", handleToggle as EventListener);
    element.addEventListener("beforetoggle", handleBeforeToggle as EventListener);
    return () => {
      element.removeEventListener("toggle", handleToggle as EventListener);
      element.removeEventListener("beforetoggle", handleBeforeToggle as EventListener);
    };
  }, []);

  return (
    <>
      <button
        ref={opener}
        type="button"
        className={buttonClass}
        popoverTarget={id}
        aria-label={label}
        aria-expanded="false"
        aria-haspopup="dialog"
        title={label}
      >
        {button}
      </button>
      <div ref={box} id={id} popover="auto" role="dialog" aria-label={title} className="popover">
        {children}
      </div>
    </>
  );
}

/** Close the popover that an element is in. */
export function closePopover(element: Element): void {
  element.closest<HTMLElement>("[popover]")?.hidePopover();
}

function position(box: HTMLElement, opener: HTMLElement): void {
  const anchor = opener.getBoundingClientRect();
  const { width, height } = box.getBoundingClientRect();
  const left = Math.min(Math.max(MARGIN, anchor.right - width), innerWidth - width - MARGIN);
  const isBelow = anchor.bottom + height + MARGIN <= innerHeight;
  box.style.left = `${Math.max(MARGIN, left)}px`;
  box.style.top = `${isBelow ? anchor.bottom + 4 : Math.max(MARGIN, anchor.top - height - 4)}px`;
}
