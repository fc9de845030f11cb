/** Keeps the focus in a panel when the element that has it goes away, as a button does after its press. */

import { type RefObject, useEffect } from "react";

/**
 * Move the focus to `fallbackId` when the focused element inside of `ref` is removed. Browsers would
 * leave it on the body, from where the Tab key starts at the top of the page. It watches only while
 * something inside has the focus.
 */
export function useKeptFocus(ref: RefObject<HTMLElement | null>, fallbackId: string): void {
  useEffect(() => {
    const element = ref.current;
    if (element === null) return;
    let focused: Element | null = null;
    const restore = () => {
      if (focused === null || focused.isConnected) return;
      focused = null;
      observer.disconnect();
      // A row of a table, or a dialog, may have taken it.
      if (document.activeElement === document.body || document.activeElement === null)
        document.getElementById(fallbackId)?.focus({ preventScroll: true });
    };
    const observer = new MutationObserver(restore);
    const handleFocus = ({ target }: FocusEvent) => {
      focused = target as Element;
      observer.observe(element, { childList: true, subtree: true });
    };
    const handleBlur = ({ target, relatedTarget }: FocusEvent) => {
      // Some browsers report the blur of an element that is being removed.
      if (relatedTarget === null) setTimeout(restore);
      else if (target === focused && !element.contains(relatedTarget as Node)) {
        focused = null;
        observer.disconnect();
      }
    };
    element.addEventListener("focusin", handleFocus);
    element.addEventListener("focusout", handleBlur);
    return () => {
      observer.disconnect();
      element.removeEventListener("focusin", handleFocus);
      element.removeEventListener("focusout", handleBlur);
    };
  }, [ref, fallbackId]);
}
