/** Whether the user wants notifications by the system, and whether the browser allows them. */

import { readStored } from "../../app/stored-state.js";

export const SYSTEM_NOTIFICATIONS_KEY = "notifications.system";

/** "missing": this browser, or a page that is not served securely, has none. */
export function permissionToNotify(): NotificationPermission | "missing" {
  if (typeof Notification === "undefined" || !isSecureContext) return "missing";
  return Notification.permission;
}

/** The choice that the user made in any tab of this browser. */
export function wantsSystemNotifications(): boolean {
  return readStored("local", SYSTEM_NOTIFICATIONS_KEY, false);
}
