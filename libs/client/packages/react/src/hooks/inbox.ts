/** The user's notifications: the list, the count, and toasts of what arrives. */

import type { Notification } from "@tapewire/client";
import { useCallback, useEffect, useState } from "react";
import { useTapewire } from "../provider.js";
import { type List, useKeyed, useList, useReadable } from "./stores.js";
import { userOf } from "./user.js";

export interface InboxState extends List {
  readonly unread: number;
  /** Shown at once, and taken back if the call fails, with which it rejects. */
  readonly markRead: (ids: readonly string[]) => Promise<void>;
  readonly markAllRead: () => Promise<void>;
}

/** The inbox; `useNotification` reads one notification. */
export function useInbox(): InboxState {
  const { notifications } = useTapewire();
  const markRead = useCallback(
    (ids: readonly string[]) => notifications.markRead(ids),
    [notifications],
  );
  const markAllRead = useCallback(() => notifications.markAllRead(), [notifications]);
  return { ...useList(notifications), unread: useUnread(), markRead, markAllRead };
}

export function useNotification(id: string | null | undefined): Notification | undefined {
  return useKeyed(useTapewire().notifications, id);
}

/** How many notifications the user has not read. */
export function useUnread(): number {
  return useReadable(useTapewire().notifications.unread, 0);
}

export interface ToastOptions {
  /** How many are shown; 3 by default. Further ones are only counted: they are in the inbox. */
  readonly limit?: number;
  /** How long each is shown; 6,000 by default, 0 until it is dismissed. */
  readonly durationMs?: number;
  /** Which notifications become toasts; all by default. Not called again when it changes. */
  readonly accepts?: (notification: Notification) => boolean;
}

export interface Toasts {
  /** The oldest first. */
  readonly toasts: readonly Notification[];
  /** How many arrived and are not shown, since there was last none. */
  readonly hidden: number;
  readonly dismiss: (id: string) => void;
  readonly dismissAll: () => void;
}

const NO_TOASTS = { toasts: [] as readonly Notification[], hidden: 0 };
type ToastState = typeof NO_TOASTS;

/** Toasts of notifications that arrive while the page is open, in one tab of the browser. */
export function useToasts({ limit = 3, durationMs = 6_000, accepts }: ToastOptions = {}): Toasts {
  const { notifications, session } = useTapewire();
  const [state, setState] = useState<ToastState>(NO_TOASTS);
  const [isAccepted] = useState(() => accepts ?? (() => true));
  const dismiss = useCallback((id: string) => setState((now) => without(now, id)), []);
  const dismissAll = useCallback(() => setState(NO_TOASTS), []);
  useEffect(() => {
    const timers = new Set<ReturnType<typeof setTimeout>>();
    const leave = notifications.onArrival((one) => {
      if (!isAccepted(one)) return;
      setState((now) => withToast(now, one, limit));
      if (durationMs === 0) return;
      const timer = setTimeout(() => {
        timers.delete(timer);
        dismiss(one.id);
      }, durationMs);
      timers.add(timer);
    });
    let user = userOf(session.get());
    const leaveSession = session.subscribe(() => {
      const next = userOf(session.get());
      if (next === undefined || next === user) return;
      user = next;
      dismissAll(); // nobody sees what was for another user
    });
    return () => {
      leave();
      leaveSession();
      for (const timer of timers) clearTimeout(timer);
      dismissAll();
    };
  }, [notifications, session, limit, durationMs, isAccepted, dismiss, dismissAll]);
  return { ...state, dismiss, dismissAll };
}

function withToast({ toasts, hidden }: ToastState, one: Notification, limit: number): ToastState {
  return toasts.length < limit
    ? { toasts: [...toasts, one], hidden }
    : { toasts, hidden: hidden + 1 };
}

function without(state: ToastState, id: string): ToastState {
  const toasts = state.toasts.filter((one) => one.id !== id);
  if (toasts.length === state.toasts.length) return state;
  return toasts.length === 0 ? NO_TOASTS : { toasts, hidden: state.hidden };
}
