import type { ListStatus, PagedStore } from "@tapewire/client";
import { useListStatus } from "@tapewire/react";
import type { ReactNode } from "react";

import { EmptyState } from "./empty-state.js";

export interface LoadStateProps {
  /** What is loaded, as in "Loading your orders…". */
  readonly name: string;
  readonly status: ListStatus;
  readonly onRetry: () => void;
  /** What is said when there is nothing, with the next step. */
  readonly children: ReactNode;
}

/** What a list without a row says: that it is being loaded, why it could not be, or `children`. */
export function LoadState({ name, status, onRetry, children }: LoadStateProps) {
  if (status.name === "ready") return children;
  if (status.name === "loading") return <EmptyState title={`Loading ${name}…`} />;
  return (
    <EmptyState
      title={`${name.charAt(0).toUpperCase()}${name.slice(1)} could not be loaded`}
      text={status.error.message}
      action={{ label: "Try again", onPress: onRetry }}
    />
  );
}

export interface ListStateProps extends Pick<LoadStateProps, "name" | "children"> {
  readonly store: PagedStore<unknown>;
}

/** `LoadState` of a list of the client. */
export function ListState({ store, ...props }: ListStateProps) {
  const status = useListStatus(store);
  return (
    <LoadState
      {...props}
      status={status}
      onRetry={() => void store.loadMore().catch(() => undefined)} // the error is in the status
    />
  );
}
