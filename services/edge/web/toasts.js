/** Toasts: short messages at the edge of the page that disappear after a while. */

import { createElement, find } from "./dom.js";

const MAX_TOASTS = 4;
const TOAST_MS = 5_000;
const ERROR_TOAST_MS = 10_000;

/**
 * @param {string} text
 * @param {"info" | "good" | "bad"} [kind]  "good" for a success, "bad" for an error
 */
export function showToast(text, kind = "info") {
  const container = find("#notices");
  const toast = createElement("p", { class: "notice", "data-kind": kind }, text);
  container.append(toast);
  while (container.children.length > MAX_TOASTS) container.firstElementChild?.remove();
  setTimeout(() => toast.remove(), kind === "bad" ? ERROR_TOAST_MS : TOAST_MS);
}
