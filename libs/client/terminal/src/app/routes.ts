/** The paths of the terminal. Every path is a deep link; on a phone a part of a page is in the hash. */

import { useSyncExternalStore } from "react";

import type { PanelTab, WorkspaceId } from "../panels/registry.js";

export interface Workspace {
  readonly id: WorkspaceId;
  readonly path: string;
  readonly title: string;
  readonly isForAdmins?: boolean;
}

export const WORKSPACES: readonly Workspace[] = [
  { id: "trade", path: "/", title: "Trade" },
  { id: "strategies", path: "/strategies", title: "Strategies" },
  { id: "news", path: "/dashboard", title: "News" },
  { id: "operations", path: "/operations", title: "Operations", isForAdmins: true },
];

/** The tabs of a phone. */
export const TABS: readonly {
  readonly tab: PanelTab;
  readonly href: string;
  readonly workspace: WorkspaceId;
}[] = [
  { tab: "Market", href: "/", workspace: "trade" },
  { tab: "Trade", href: "/#trade", workspace: "trade" },
  { tab: "Positions", href: "/#positions", workspace: "trade" },
  { tab: "Strategies", href: "/strategies", workspace: "strategies" },
  { tab: "News", href: "/dashboard", workspace: "news" },
  { tab: "Operations", href: "/operations", workspace: "operations" },
];

export interface Route {
  /** Null for a path that the terminal does not have. */
  readonly workspace: WorkspaceId | null;
  readonly tab: PanelTab;
}

export function parseRoute(pathname: string, hash: string): Route {
  const path = pathname.replace(/\/+$/, "") || "/";
  const workspace = WORKSPACES.find((candidate) => candidate.path === path);
  if (!workspace) return { workspace: null, tab: "Market" };
  const tabs = TABS.filter((candidate) => candidate.workspace === workspace.id);
  const tab = tabs.find(({ href }) => href === `${workspace.path}${hash}`) ?? tabs[0];
  return { workspace: workspace.id, tab: tab?.tab ?? "Market" };
}

/** The address of a page on the desk, or of a tab on a phone. */
export function pathOf(target: WorkspaceId | PanelTab): string {
  const workspace = WORKSPACES.find(({ id }) => id === target)?.path;
  return workspace ?? TABS.find(({ tab }) => tab === target)?.href ?? "/";
}

const NAVIGATED = "tapewire:navigated";

function subscribe(listener: () => void): () => void {
  for (const event of ["popstate", "hashchange", NAVIGATED]) addEventListener(event, listener);
  return () => {
    for (const event of ["popstate", "hashchange", NAVIGATED]) removeEventListener(event, listener);
  };
}

const address = () => location.pathname + location.hash;

export function useRoute(): Route {
  useSyncExternalStore(subscribe, address);
  return parseRoute(location.pathname, location.hash);
}

/** Go to a path of the terminal without loading the page. The same path twice is one entry in the history. */
export function navigate(path: string): void {
  if (address() === path) return;
  history.pushState(null, "", path);
  dispatchEvent(new Event(NAVIGATED));
}

/** Whether a press on a link should be left to the browser: a new tab, a download. */
export function isPlainPress(event: {
  button: number;
  ctrlKey: boolean;
  metaKey: boolean;
  shiftKey: boolean;
  altKey: boolean;
}): boolean {
  return event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
}
