import type { Notification as ArrivedNotification } from "@tapewire/client";
import { useTapewire } from "@tapewire/react";
import { useEffect } from "react";

import { groupKey, importanceOf, isRoutine, targetOf } from "../panels/notifications/grouping.js";
import {
  permissionToNotify,
  wantsSystemNotifications,
} from "../panels/notifications/system-notifications.js";
import { NoticeLimiter, RoutineLimiter } from "./notice-limiter.js";
import { useTerminal } from "./terminal-context.js";

/**
 * Reports each notification that arrives, whichever panels are open, in one tab of the browser: as a
 * message of the page and, while the page is in the background, by the system if the user wants it.
 */
export function ArrivalNotices() {
  const { notifications } = useTapewire();
  const { showToast, openPanel, selectSymbol } = useTerminal();
  useEffect(
    () =>
      notifications.onArrival((notification) => {
        if (document.hidden) notifyBySystem(notification, () => openPanel("notifications"));
        const { title, message } = notification;
        const key = groupKey(notification);
        if (isRoutine(notification) && !routine.take(key, Date.now())) return;
        const target = targetOf(notification);
        showToast({
          kind: TOAST_KINDS[importanceOf(notification)],
          title,
          text: message,
          key,
          ...(target && {
            action: {
              label: "Show",
              onPress() {
                if (target.symbol !== null) selectSymbol(target.symbol);
                openPanel(target.panel);
              },
            },
          }),
        });
      }),
    [notifications, showToast, openPanel, selectSymbol],
  );
  return null;
}

const TOAST_KINDS = { error: "bad", warning: "warn", info: "info" } as const;
const routine = new RoutineLimiter();
const systemNotices = new NoticeLimiter();

function notifyBySystem({ id, title, message }: ArrivedNotification, onPress: () => void): void {
  if (permissionToNotify() !== "granted" || !wantsSystemNotifications()) return;
  const more = systemNotices.take(Date.now());
  try {
    // The tag keeps one of each; what is too much at once shares one.
    const shown =
      more === 0
        ? new Notification(title, { body: message, tag: id, icon: "/icon.svg" })
        : new Notification(`${more} more notifications`, {
            body: title,
            tag: "more",
            icon: "/icon.svg",
          });
    shown.onclick = () => {
      window.focus();
      shown.close();
      onPress();
    };
  } catch {
    // Android has notifications of service workers only; the page shows its message.
  }
}
