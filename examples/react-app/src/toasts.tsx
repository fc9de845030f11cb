/** Notifications that arrive while the page is open, in one tab of the browser. */

import { useToasts, useUnread } from "@tapewire/react";

export function Toasts() {
  const { toasts, hidden, dismiss } = useToasts({ durationMs: 10_000 });
  const unread = useUnread();
  return (
    <aside aria-label="Notifications" aria-live="polite">
      <p>{unread === 1 ? "1 notification is" : `${unread} notifications are`} unread</p>
      {toasts.map(({ id, title, message }) => (
        <p className="toast" key={id}>
          <strong>{title}</strong> {message}
          <button onClick={() => dismiss(id)} type="button">
            Dismiss
          </button>
        </p>
      ))}
      {hidden > 0 && <p>and {hidden} more</p>}
    </aside>
  );
}
