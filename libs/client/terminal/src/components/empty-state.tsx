import type { ReactNode } from "react";

export interface EmptyStateProps {
  /** What is not there: "No orders yet". */
  readonly title: string;
  readonly text?: ReactNode;
  /** The next step. No screen is empty without one. */
  readonly action?: { readonly label: string; readonly onPress: () => void } | undefined;
}

/** What a panel shows while it has nothing, with the next step. */
export function EmptyState({ title, text, action }: EmptyStateProps) {
  return (
    <div className="empty-state">
      <p className="empty-title">{title}</p>
      {text !== undefined && <p className="empty-text">{text}</p>}
      {action && (
        <button type="button" className="button" onClick={action.onPress}>
          {action.label}
        </button>
      )}
    </div>
  );
}
