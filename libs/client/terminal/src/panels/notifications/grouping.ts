/**
 * Notifications in groups, so that a busy strategy does not bury a warning. Pure.
 *
 * A group is what has the same kind and the same source (a strategy, or else a symbol) on one day.
 * Groups are in the order of their newest notification.
 */

import type { Notification } from "@tapewire/client";

export type Importance = "error" | "warning" | "info";

export interface NotificationGroup {
  readonly key: string;
  readonly importance: Importance;
  /** The newest first. */
  readonly notifications: readonly Notification[];
  readonly unread: number;
}

export type KindFilter =
  | "all"
  | "unread"
  | "important"
  | "orders"
  | "strategies"
  | "alerts"
  | "other";

const ERROR_TYPE = /(^|_)(error|failed|rejected)$/;

/** The payload is data of a program, of any shape. */
function textOf(notification: Notification, name: string): string | null {
  const value = notification.payload?.[name];
  return typeof value === "string" && value !== "" ? value : null;
}

export function importanceOf(notification: Notification): Importance {
  const level = textOf(notification, "level");
  if (level === "error" || ERROR_TYPE.test(notification.type)) return "error";
  if (level === "warning" || notification.type === "stop_loss") return "warning";
  return "info";
}

export function kindOf({
  type,
}: Notification): Exclude<KindFilter, "all" | "unread" | "important"> {
  if (type.startsWith("order_")) return "orders";
  if (type.startsWith("strategy_") || type === "stop_loss" || type === "take_profit")
    return "strategies";
  return type === "alert" ? "alerts" : "other";
}

export function matches(notification: Notification, filter: KindFilter): boolean {
  if (filter === "all") return true;
  if (filter === "unread") return !notification.is_read;
  if (filter === "important") return importanceOf(notification) !== "info";
  return kindOf(notification) === filter;
}

/** @param notifications  the newest first */
export function groupNotifications(
  notifications: readonly Notification[],
): readonly NotificationGroup[] {
  const groups = new Map<
    string,
    { importance: Importance; notifications: Notification[]; unread: number }
  >();
  for (const notification of notifications) {
    const key = groupKey(notification);
    const group = groups.get(key) ?? {
      importance: importanceOf(notification),
      notifications: [],
      unread: 0,
    };
    groups.set(key, group);
    group.notifications.push(notification);
    if (!notification.is_read) group.unread += 1;
  }
  return [...groups].map(([key, group]) => ({ key, ...group }));
}

/** What notifications of one group have in common. */
export function groupKey(notification: Notification): string {
  // An important one stands alone: two warnings are two.
  if (importanceOf(notification) !== "info") return `one ${notification.id}`;
  const source =
    textOf(notification, "strategyId") ?? textOf(notification, "symbol") ?? notification.title;
  return JSON.stringify([notification.type, source, notification.created_at.slice(0, 10)]);
}

/** Whether it is what a strategy does all day, such as a fill of one of its orders. */
export function isRoutine(notification: Notification): boolean {
  return importanceOf(notification) === "info" && textOf(notification, "strategyId") !== null;
}

/** Where a notification leads: an order, a strategy, or a symbol. */
export function targetOf(notification: Notification): {
  readonly panel: "blotter" | "strategies" | "alerts" | "chart";
  readonly symbol: string | null;
} | null {
  const symbol = textOf(notification, "symbol");
  if (textOf(notification, "orderId") !== null) return { panel: "blotter", symbol };
  if (textOf(notification, "strategyId") !== null) return { panel: "strategies", symbol };
  if (textOf(notification, "ruleId") !== null) return { panel: "alerts", symbol };
  return symbol === null ? null : { panel: "chart", symbol };
}
