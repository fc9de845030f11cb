/** What of the notifications is on the page: the bell, and the list that opens below it. */

import { arrange, find, make, say, write } from "./dom.js";
import * as format from "./format.js";

/** @typedef {import("./inbox.js").Inbox} Inbox */
/** @typedef {import("./inbox.js").Notification} Notification */

const BADGE_AT_MOST = 99;

/**
 * Builds it in the element `#bell`.
 *
 * @param {{read: (id: string) => void, readAll: () => void, onShow: () => void}} actions
 */
export function bellParts({ read, readAll, onShow }) {
  const root = find("#bell");
  const badge = make("span", { class: "badge", "aria-hidden": "true", hidden: "" });
  const words = make("span", { class: "sr-only" }, "Notifications");
  const button = make(
    "button",
    { type: "button", class: "bell", "aria-expanded": "false", "aria-controls": "inbox" },
    bellShape(),
    words,
    badge,
  );
  const all = make("button", { type: "button", class: "quiet" }, "Mark all read");
  const allow = make("button", { type: "button", class: "quiet" }, "Show on the desktop too");
  const trouble = make("p", { class: "form-error", role: "alert", hidden: "" });
  const note = make("p", { class: "hint", hidden: "" });
  const list = make("ol", {});
  const empty = make("p", { class: "empty" }, "Nothing yet. Fills, alerts and errors come here.");
  const panel = make(
    "section",
    { class: "panel inbox", id: "inbox", "aria-labelledby": "inbox-title", hidden: "" },
    make("div", { class: "panel-head" }, make("h2", { id: "inbox-title" }, "Notifications"), all),
    trouble,
    list,
    empty,
    make("div", { class: "inbox-foot" }, allow, note),
  );
  root.append(button, panel);

  /** @param {boolean} open */
  function show(open) {
    if (open === !panel.hidden) return;
    panel.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (open) onShow();
  }

  button.addEventListener("click", () => show(panel.hidden));
  all.addEventListener("click", readAll);
  list.addEventListener("click", ({ target }) => {
    const pressed = /** @type {Element} */ (target).closest("button");
    const line = pressed?.closest("li");
    if (!line) return;
    // The button goes when its line is read; who came by keyboard stays in the list.
    panel.focus();
    read(/** @type {string} */ (line.dataset.id));
  });
  panel.tabIndex = -1;
  root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape" || panel.hidden) return;
    show(false);
    button.focus();
  });
  document.addEventListener("pointerdown", ({ target }) => {
    if (!root.contains(/** @type {Node} */ (target))) show(false);
  });

  return {
    root,
    words,
    badge,
    all,
    trouble,
    list,
    empty,
    allow: { button: allow, note },
    open: () => show(true),
  };
}

/**
 * @param {ReturnType<typeof bellParts>} parts
 * @param {Inbox} inbox
 * @param {string} trouble  "" for none
 */
export function drawBell(parts, inbox, trouble) {
  const { unread } = inbox;
  write(parts.words, unread === 0 ? "Notifications" : `Notifications, ${unread} unread`);
  say(parts.badge, unread === 0 ? "" : unread > BADGE_AT_MOST ? `${BADGE_AT_MOST}+` : `${unread}`);
  say(parts.trouble, trouble);
  parts.all.hidden = unread === 0;
  parts.empty.hidden = inbox.items.length > 0 || trouble !== "";
  const old = new Map([...parts.list.children].map((line) => [line.dataset.id, line]));
  const lines = inbox.items.map((one) => {
    const known = old.get(one.id);
    return known?.dataset.read === String(one.is_read) ? known : line(one);
  });
  arrange(parts.list, lines);
}

/** @param {Notification} notification */
function line({ id, type, title, message, is_read, created_at }) {
  const when = make("time", { datetime: created_at, title: format.fullTime(created_at) });
  when.textContent = format.time(created_at);
  const read = make("button", { type: "button", class: "quiet" }, "Mark read");
  read.setAttribute("aria-label", `Mark as read: ${title}`);
  return make(
    "li",
    { "data-id": id, "data-type": type, "data-read": String(is_read) },
    make("strong", { class: "headline" }, title),
    when,
    make("p", { class: "message" }, message),
    ...(is_read ? [] : [read]),
  );
}

function bellShape() {
  const SVG = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  for (const [name, value] of Object.entries({
    viewBox: "0 0 24 24", width: "22", height: "22", "aria-hidden": "true",
  })) picture.setAttribute(name, value);
  path.setAttribute("d", "M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 2h-15zM10 20.5a2 2 0 0 0 4 0");
  picture.append(path);
  return picture;
}
