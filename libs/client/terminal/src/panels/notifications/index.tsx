import type { Notification } from "@tapewire/client";
import { useKeys, useListStatus, useReadable, useTapewire } from "@tapewire/react";
import { useMemo, useState } from "react";

import { useStoredState } from "../../app/stored-state.js";
import { useTerminal } from "../../app/terminal-context.js";
import { EmptyState, ListState, PanelToolbar, Time, useAttempt } from "../../components/index.js";
import type { PanelProps } from "../registry.js";
import { BrowserNotificationsSwitch } from "./browser-notifications.js";
import {
  groupNotifications,
  type KindFilter,
  matches,
  type NotificationGroup,
  targetOf,
} from "./grouping.js";
import "./notifications.css";

const FILTERS: readonly (readonly [KindFilter, string])[] = [
  ["all", "All"],
  ["unread", "Unread"],
  ["important", "Warnings and errors"],
  ["orders", "Orders"],
  ["strategies", "Strategies"],
  ["alerts", "Alerts"],
  ["other", "Other"],
];
const isFilter = (value: unknown) => FILTERS.some(([filter]) => filter === value);
/** Notifications of a group that are shown before one asks for all. */
const SHOWN_IN_GROUP = 3;

/** The inbox: grouped, filtered, paged, with read marks that all tabs share. */
export default function NotificationsPanel(_props: PanelProps) {
  const client = useTapewire();
  const terminal = useTerminal();
  const attempt = useAttempt();
  const ids = useKeys(client.notifications);
  const unread = useReadable(client.notifications.unread);
  const [filter, setFilter] = useStoredState<KindFilter>("notifications.filter", "all", {
    isValid: isFilter,
  });
  const shown = ids
    .map((id) => client.notifications.get(id))
    .filter(
      (notification): notification is Notification =>
        notification !== undefined && matches(notification, filter),
    );
  const groups = useMemo(() => groupNotifications(shown), [shown]);

  const mark = (run: () => Promise<void>) => attempt("Not marked as read", run);

  return (
    <div className="notifications">
      <PanelToolbar label="Which notifications">
        <select
          className="input"
          aria-label="Show"
          value={filter}
          onChange={(event) => setFilter(event.target.value as KindFilter)}
        >
          {FILTERS.map(([name, label]) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
        </select>
        <span className="soft">{terminal.formats.count(unread)} unread</span>
        {unread > 0 && (
          <button
            type="button"
            className="button small"
            onClick={() => void mark(() => client.notifications.markAllRead())}
          >
            Mark all as read
          </button>
        )}
        <BrowserNotificationsSwitch />
      </PanelToolbar>
      <div className="notification-scroller">
        {groups.length === 0 && (
          <NoNotifications
            filter={filter}
            hasAny={ids.length > 0}
            onShowAll={() => setFilter("all")}
          />
        )}
        <ol className="notification-groups" aria-label="Notifications">
          {groups.map((group) => (
            <Group
              key={group.key}
              group={group}
              onRead={(read) => void mark(() => client.notifications.markRead(read))}
            />
          ))}
        </ol>
        <Older />
      </div>
    </div>
  );
}

function Group({
  group,
  onRead,
}: {
  readonly group: NotificationGroup;
  readonly onRead: (ids: readonly string[]) => void;
}) {
  const { formats } = useTerminal();
  const [showsAll, setShowsAll] = useState(false);
  const { notifications, unread, importance } = group;
  const shown = showsAll ? notifications : notifications.slice(0, SHOWN_IN_GROUP);
  const unreadIds = notifications.filter(({ is_read }) => !is_read).map(({ id }) => id);
  const isGroup = notifications.length > 1;
  return (
    <li className="notification-group" data-importance={importance} data-unread={unread > 0}>
      {isGroup && (
        <p className="group-head">
          <b>{notifications[0]?.title}</b>{" "}
          <span className="soft">
            {formats.count(notifications.length)} times
            {unread > 0 && `, ${formats.count(unread)} unread`}
          </span>
          {unread > 0 && (
            <button type="button" className="link-button" onClick={() => onRead(unreadIds)}>
              Mark these as read
            </button>
          )}
        </p>
      )}
      <ol>
        {shown.map((notification) => (
          <Entry
            key={notification.id}
            notification={notification}
            hidesTitle={isGroup}
            onRead={onRead}
          />
        ))}
      </ol>
      {notifications.length > SHOWN_IN_GROUP && (
        <button
          type="button"
          className="link-button"
          aria-expanded={showsAll}
          onClick={() => setShowsAll(!showsAll)}
        >
          {showsAll ? "Show fewer" : `Show all ${formats.count(notifications.length)}`}
        </button>
      )}
    </li>
  );
}

const IMPORTANCE_WORDS = { error: "Error", warning: "Warning", info: "" } as const;

function Entry({
  notification,
  hidesTitle,
  onRead,
}: {
  readonly notification: Notification;
  readonly hidesTitle: boolean;
  readonly onRead: (ids: readonly string[]) => void;
}) {
  const { openPanel, selectSymbol } = useTerminal();
  const target = targetOf(notification);
  const word = IMPORTANCE_WORDS[groupNotifications([notification])[0]?.importance ?? "info"];
  function follow() {
    if (!notification.is_read) onRead([notification.id]);
    if (target?.symbol != null) selectSymbol(target.symbol);
    if (target) openPanel(target.panel);
  }
  return (
    <li className="notification" data-unread={!notification.is_read}>
      <div className="notification-text">
        {!hidesTitle && <b>{notification.title}</b>}{" "}
        {word !== "" && (
          <span className="chip" data-tone={word === "Error" ? "bad" : "warn"}>
            {word}
          </span>
        )}
        {!notification.is_read && <span className="sr-only">Unread. </span>}
        <p>{notification.message}</p>
      </div>
      <div className="notification-side">
        <Time value={notification.created_at} />
        {target && (
          <button
            type="button"
            className="link-button"
            onClick={follow}
            aria-label={`Show: ${notification.title}`}
          >
            Show
          </button>
        )}
        {!notification.is_read && (
          <button
            type="button"
            className="link-button"
            onClick={({ currentTarget }) => {
              focusNextMark(currentTarget);
              onRead([notification.id]);
            }}
            data-mark="read"
            aria-label={`Mark as read: ${notification.title}`}
          >
            Read
          </button>
        )}
      </div>
    </li>
  );
}

/** The button goes away once it is pressed: somebody who marks several as read goes on with the next. */
function focusNextMark(pressed: HTMLElement): void {
  const list = pressed.closest(".notification-groups");
  const marks = [...(list?.querySelectorAll<HTMLElement>("[data-mark]") ?? [])];
  const index = marks.indexOf(pressed);
  (marks[index + 1] ?? marks[index - 1])?.focus();
}

function Older() {
  const store = useTapewire().notifications;
  const hasMore = useReadable(store.hasMore);
  const status = useListStatus(store);
  if (!hasMore) return null;
  return (
    <button
      type="button"
      className="button small older"
      aria-disabled={status.name === "loading"}
      onClick={() => void store.loadMore().catch(() => undefined)}
    >
      {status.name === "loading" ? "Loading older ones…" : "Show older notifications"}
    </button>
  );
}

function NoNotifications({
  filter,
  hasAny,
  onShowAll,
}: {
  readonly filter: KindFilter;
  readonly hasAny: boolean;
  readonly onShowAll: () => void;
}) {
  const client = useTapewire();
  const { openPanel } = useTerminal();
  if (hasAny && filter !== "all")
    return (
      <EmptyState
        title="No notification matches"
        action={{ label: "Show all", onPress: onShowAll }}
      />
    );
  return (
    <ListState store={client.notifications} name="your notifications">
      <EmptyState
        title="No notifications yet"
        text="Fills, rejected orders, strategies and alerts are reported here."
        action={{ label: "Set up an alert", onPress: () => openPanel("alerts") }}
      />
    </ListState>
  );
}
