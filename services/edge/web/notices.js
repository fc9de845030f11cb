/** Short messages at the edge of the page; they leave by themselves, errors later than others. */

import { find, make } from "./dom.js";

const SHOWN_AT_MOST = 4;
const STAYS_MS = 5_000;
const ERROR_STAYS_MS = 10_000;

/**
 * @param {string} text
 * @param {"info" | "good" | "bad"} [kind]
 */
export function notice(text, kind = "info") {
  const box = find("#notices");
  const message = make("p", { class: "notice", "data-kind": kind }, text);
  box.append(message);
  while (box.children.length > SHOWN_AT_MOST) box.firstElementChild?.remove();
  setTimeout(() => message.remove(), kind === "bad" ? ERROR_STAYS_MS : STAYS_MS);
}
