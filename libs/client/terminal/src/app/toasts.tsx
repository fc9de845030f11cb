/**
 * Messages that appear for some seconds. They stay while the pointer or the focus is on them, and they
 * have a place of their own in the layout of narrow pages, so that they never cover a button.
 */

import { useCallback, useEffect, useRef, useState } from "react";

import type { Announce } from "./announcer.js";
import type { ToastContent } from "./terminal-context.js";

const SHOW_MS = 7_000;
const MAX_SHOWN = 3;

export interface ToastEntry extends ToastContent {
  readonly number: number;
}

/** The list with one more: a toast replaces the one with its key, and the oldest go when there are too many. */
export function addToast(toasts: readonly ToastEntry[], toast: ToastEntry): readonly ToastEntry[] {
  const others = toasts.filter(({ key }) => key === undefined || key !== toast.key);
  return [...others, toast].slice(-MAX_SHOWN);
}

export function useToasts(announce: Announce) {
  const [toasts, setToasts] = useState<readonly ToastEntry[]>([]);
  const number = useRef(0);
  const showToast = useCallback(
    (toast: ToastContent) => {
      number.current += 1;
      const entry = { ...toast, number: number.current };
      setToasts((previous) => addToast(previous, entry));
      announce(
        [toast.title, toast.text].filter(Boolean).join(" "),
        toast.kind === "bad" ? "assertive" : "polite",
      );
    },
    [announce],
  );
  const dismiss = useCallback(
    (dismissed: number) =>
      setToasts((previous) => previous.filter((toast) => toast.number !== dismissed)),
    [],
  );
  return { toasts, showToast, dismiss };
}

export interface ToastsProps {
  readonly toasts: readonly ToastEntry[];
  readonly onDismiss: (number: number) => void;
}

export function Toasts({ toasts, onDismiss }: ToastsProps) {
  const [isHeld, setHeld] = useState(false);
  if (isHeld && toasts.length === 0) setHeld(false);
  return (
    // biome-ignore lint/a11y/noNoninteractiveElementInteractions: it only waits while somebody reads.
    <section
      className="toasts"
      aria-label="Messages"
      hidden={toasts.length === 0}
      onPointerEnter={() => setHeld(true)}
      onPointerLeave={() => setHeld(false)}
      onFocus={() => setHeld(true)}
      onBlur={() => setHeld(false)}
    >
      {toasts.map((toast) => (
        <Toast key={toast.number} toast={toast} isHeld={isHeld} onDismiss={onDismiss} />
      ))}
    </section>
  );
}

interface ToastProps {
  readonly toast: ToastEntry;
  readonly isHeld: boolean;
  readonly onDismiss: (number: number) => void;
}

function Toast({ toast, isHeld, onDismiss }: ToastProps) {
  const { number, kind = "info", title, text, action } = toast;
  useEffect(() => {
    if (isHeld) return;
    const timer = setTimeout(() => onDismiss(number), SHOW_MS);
    return () => clearTimeout(timer);
  }, [isHeld, number, onDismiss]);
  return (
    <div className="toast" data-kind={kind}>
      <span className="toast-mark" aria-hidden="true">
        {{ info: "ℹ", good: "✓", warn: "⚠", bad: "⚠" }[kind]}
      </span>
      <div>
        <p className="toast-title">{title}</p>
        {text && <p>{text}</p>}
        {action && (
          <button
            type="button"
            className="link-button"
            onClick={() => {
              action.onPress();
              onDismiss(number);
            }}
          >
            {action.label}
          </button>
        )}
      </div>
      <button
        type="button"
        className="icon-button"
        aria-label={`Close the message: ${title}`}
        onClick={() => onDismiss(number)}
      >
        <span aria-hidden="true">✕</span>
      </button>
    </div>
  );
}
