/** Move the focus to a panel that may not be in the document yet. */

import { headingId } from "./panel-frame.js";

const MAX_FRAMES = 60;

/** @param target  "form" prefers the element that the panel marks with `data-autofocus` */
export function focusPanel(id: string, target: "heading" | "form" = "heading"): void {
  const look = (framesLeft: number) => {
    const panel = document.getElementById(`panel-${id}`);
    // The panel has taken the focus itself.
    if (target === "form" && panel?.contains(document.activeElement)) return;
    const field = target === "form" ? panel?.querySelector<HTMLElement>("[data-autofocus]") : null;
    const isReady = panel !== null && (target === "heading" || field != null || framesLeft === 0);
    if (isReady) {
      panel.scrollIntoView({ block: "nearest" });
      (field ?? document.getElementById(headingId(id)))?.focus({ preventScroll: field == null });
    } else if (framesLeft > 0) requestAnimationFrame(() => look(framesLeft - 1));
  };
  requestAnimationFrame(() => look(MAX_FRAMES));
}
