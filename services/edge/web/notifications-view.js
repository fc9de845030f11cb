/** The elements of the notification center: the bell, and the list that opens below it. */

import { createElement, find, setChildren, setMessage, setText } from "./dom.js";
import * as format from "./format.js";

/** @typedef {import("./inbox.js").Inbox} Inbox */
/** @typedef {import("./inbox.js").Notification} Notification */

const MAX_BADGE_COUNT = 99;

/**
 * Create the bell and its list in the element `#bell`.
 *
 * @param {object} callbacks
 * @param {(id: string) => void} callbacks.markRead
 * @param {() => void} callbacks.markAllRead
 * @param {() => void} callbacks.onShow  called when the list opens
 */
export function createBell({ markRead, markAllRead, onShow }) {
  const root = find("#bell");
  const badge = createElement("span", { class: "badge", "aria-hidden": "true", hidden: "" });
  const label = createElement("span", { class: "sr-only" }, "Notifications");
  const button = createElement(
    "button",
    { type: "button", class: "bell", "aria-expanded": "false", "aria-controls": "inbox" },
    bellIcon(),
    label,
    badge,
  );
  const markAll = createElement("button", { type: "button", class: "quiet" }, "Mark all read");
  const allow = createElement("button", { type: "button", class: "quiet" }, "Show on the desktop too");
  const error = createElement("p", { class: "form-error", role: "alert", hidden: "" });
  const note = createElement("p", { class: "hint", hidden: "" });
  const list = createElement("ol", {});
  const empty = createElement("p", { class: "empty" }, "Nothing yet. Fills, alerts and errors appear here.");
  const title = createElement("h2", { id: "inbox-title" }, "Notifications");
  const panel = createElement(
    "section",
    { class: "panel inbox", id: "inbox", "aria-labelledby": "inbox-title", hidden: "" },
    createElement("div", { class: "panel-head" }, title, markAll),
    error,
    list,
    empty,
    createElement("div", { class: "inbox-foot" }, allow, note),
  );
  root.append(button, panel);

  /** @param {boolean} isOpen */
  function setOpen(isOpen) {
    if (isOpen === !panel.hidden) return;
    panel.hidden = !isOpen;
    button.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) onShow();
  }

  button.addEventListener("click", () => setOpen(panel.hidden));
  markAll.addEventListener("click", markAllRead);
  list.addEventListener("click", (/** @type {Event} */ { target }) => {
    const pressed = /** @type {Element} */ (target).closest("button");
    const row = pressed?.closest("li");
    if (!row) return;
    // Marking a row as read removes its button: keep the keyboard focus in the list.
    panel.focus();
    markRead(/** @type {string} */ (row.dataset.id));
  });
  panel.tabIndex = -1;
  root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape" || panel.hidden) return;
    setOpen(false);
    button.focus();
  });
  document.addEventListener("pointerdown", ({ target }) => {
    if (!root.contains(/** @type {Node} */ (target))) setOpen(false);
  });

  return {
    root,
    label,
    badge,
    markAll,
    error,
    list,
    empty,
    permission: { button: allow, note },
    open: () => setOpen(true),
  };
}

/**
 * @param {ReturnType<typeof createBell>} bell
 * @param {Inbox} inbox
 * @param {string} loadError  "" for no error
 */
export function renderBell(bell, inbox, loadError) {
  const { unread } = inbox;
  const count = unread > MAX_BADGE_COUNT ? `${MAX_BADGE_COUNT}+` : String(unread);
  setText(bell.label, unread === 0 ? "Notifications" : `Notifications, ${unread} unread`);
  setMessage(bell.badge, unread === 0 ? "" : count);
  setMessage(bell.error, loadError);
  bell.markAll.hidden = unread === 0;
  bell.empty.hidden = inbox.items.length > 0 || loadError !== "";
  const existingRows = new Map([...bell.list.children].map((row) => [row.dataset.id, row]));
  const rows = inbox.items.map((notification) => {
    const row = existingRows.get(notification.id);
    return row?.dataset.read === String(notification.is_read) ? row : notificationRow(notification);
  });
  setChildren(bell.list, rows);
}

/** @param {Notification} notification */
function notificationRow({ id, type, title, message, is_read: isRead, created_at: createdAt }) {
  const when = createElement("time", { datetime: createdAt, title: format.fullTime(createdAt) });
  when.textContent = format.time(createdAt);
  const markRead = createElement("button", { type: "button", class: "quiet" }, "Mark read");
  markRead.setAttribute("aria-label", `Mark as read: ${title}`);
  return createElement(
    "li",
    { "data-id": id, "data-type": type, "data-read": String(isRead) },
    createElement("strong", { class: "headline" }, title),
    when,
    createElement("p", { class: "message" }, message),
    ...(isRead ? [] : [markRead]),
  );
}

function bellIcon() {
  const SVG = "http://www.w3.org/2000/svg";
  const icon = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  for (const [name, value] of Object.entries({
    viewBox: "0 0 24 24", width: "22", height: "22", "aria-hidden": "true",
  })) icon.setAttribute(name, value);
  path.setAttribute("d", "M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 2h-15zM10 20.5a2 2 0 0 0 4 0");
  icon.append(path);
  return icon;
}
