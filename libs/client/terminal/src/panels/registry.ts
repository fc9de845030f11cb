/**
 * All panels of the terminal, one entry each. The shell makes frames, menus, tabs, keys and the help
 * dialog from this table.
 *
 * To write a panel, add the folder `panels/<id>` with an `index.tsx` whose default export is a
 * component of `PanelProps`. The frame with its heading, error boundary and loading text is the
 * shell's; a panel renders what is inside. A panel without a folder is left out. Each is a chunk of
 * its own, loaded when it is first shown.
 */

import { type ComponentType, lazy } from "react";

/** The pages of the terminal; each has a path and a layout of its own. */
export type WorkspaceId = "trade" | "strategies" | "news" | "operations";

export type PanelTab = "Market" | "Trade" | "Positions" | "Strategies" | "News" | "Operations";

/** Who sees a panel: everybody, somebody who is signed in, an admin. */
export type PanelAccess = "public" | "session" | "admin";

/** A place on the desk, in cells: 24 columns, rows of 32 px. */
export interface PanelPlace {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface PanelProps {
  readonly panelId: PanelId;
  /** The id of the heading in the frame, for `aria-labelledby` of the panel's table. */
  readonly headingId: string;
}

interface PanelEntry {
  readonly title: string;
  /** One sentence for the list of panels that can be opened. */
  readonly description: string;
  readonly access: PanelAccess;
  /** Where it is at first; null if only the user opens it. It can be opened in every workspace. */
  readonly places: Partial<Record<WorkspaceId, PanelPlace>>;
  /** The letter after `g` that goes to this panel. */
  readonly key?: string;
  /** Its tab on a phone; panels of one tab are shown one below the other. */
  readonly tab: PanelTab;
  /** As high as its content on a phone. Others are lists, which scroll inside. */
  readonly isForm?: boolean;
}

const ENTRIES = {
  watchlist: {
    title: "Watchlist",
    description: "Live prices of your symbols.",
    access: "public",
    places: { trade: { x: 0, y: 0, width: 8, height: 15 } },
    key: "w",
    tab: "Market",
  },
  chart: {
    title: "Chart",
    description: "Bars of the selected symbol with your fills and signals.",
    access: "public",
    places: { trade: { x: 8, y: 0, width: 11, height: 15 } },
    key: "c",
    tab: "Market",
  },
  ticket: {
    title: "Order ticket",
    description: "Place an order.",
    access: "session",
    places: { trade: { x: 19, y: 0, width: 5, height: 26 } },
    key: "t",
    tab: "Trade",
    isForm: true,
  },
  blotter: {
    title: "Orders",
    description: "Your orders: state, fills, cancel and replace.",
    access: "session",
    places: { trade: { x: 0, y: 15, width: 9, height: 11 } },
    key: "o",
    tab: "Trade",
  },
  positions: {
    title: "Positions",
    description: "What you hold, with profit and loss.",
    access: "session",
    places: { trade: { x: 9, y: 15, width: 6, height: 11 } },
    key: "p",
    tab: "Positions",
  },
  account: {
    title: "Account",
    description: "Cash, equity, buying power and the equity curve.",
    access: "session",
    places: { trade: { x: 15, y: 15, width: 4, height: 11 } },
    key: "m",
    tab: "Positions",
    isForm: true,
  },
  executions: {
    title: "Executions",
    description: "Every fill of your orders.",
    access: "session",
    places: {},
    key: "e",
    tab: "Trade",
  },
  strategies: {
    title: "Strategies",
    description: "Your strategies: create, start, stop, change.",
    access: "session",
    places: { strategies: { x: 0, y: 0, width: 12, height: 14 } },
    key: "s",
    tab: "Strategies",
  },
  decisions: {
    title: "Decisions",
    description: "What strategies decided, and why.",
    access: "session",
    places: { strategies: { x: 12, y: 0, width: 12, height: 26 } },
    key: "d",
    tab: "Strategies",
  },
  alerts: {
    title: "Alerts",
    description: "Rules that watch prices, and what they reported.",
    access: "session",
    places: { strategies: { x: 0, y: 14, width: 12, height: 12 } },
    key: "a",
    tab: "Strategies",
  },
  notifications: {
    title: "Notifications",
    description: "Your inbox: unread, grouped, filtered.",
    access: "session",
    places: { news: { x: 17, y: 0, width: 7, height: 26 } },
    key: "n",
    tab: "News",
  },
  items: {
    title: "News items",
    description: "News with tickers, tags and sentiment, by your views.",
    access: "public",
    places: { news: { x: 0, y: 0, width: 10, height: 26 } },
    key: "i",
    tab: "News",
  },
  metrics: {
    title: "Sentiment",
    description: "Totals, tags and rates of the news items.",
    access: "public",
    places: { news: { x: 10, y: 0, width: 7, height: 26 } },
    tab: "News",
    isForm: true,
  },
  replay: {
    title: "Replay",
    description: "Any past of your account, by a time slider.",
    access: "session",
    places: {},
    key: "r",
    tab: "Positions",
    isForm: true,
  },
  services: {
    title: "Services",
    description: "The state of every service, and its lag.",
    access: "admin",
    places: { operations: { x: 0, y: 0, width: 10, height: 13 } },
    tab: "Operations",
  },
  connections: {
    title: "Connections",
    description: "Connections by stream and user, resets, slow readers.",
    access: "admin",
    places: { operations: { x: 10, y: 0, width: 14, height: 13 } },
    tab: "Operations",
  },
  journal: {
    title: "Journal",
    description: "Size, days left, parked events.",
    access: "admin",
    places: { operations: { x: 0, y: 13, width: 10, height: 13 } },
    tab: "Operations",
  },
  explain: {
    title: "Explain an event",
    description: "Why a user saw an event, or did not.",
    access: "admin",
    places: { operations: { x: 10, y: 13, width: 14, height: 13 } },
    tab: "Operations",
    isForm: true,
  },
} as const satisfies Record<string, PanelEntry>;

export type PanelId = keyof typeof ENTRIES;

export interface PanelDefinition extends PanelEntry {
  readonly id: PanelId;
  readonly component: ComponentType<PanelProps>;
}

type PanelModule = { readonly default: ComponentType<PanelProps> };

const MODULES = import.meta.glob<PanelModule>("./*/index.tsx");

/** The panels that exist, in the order of menus. */
export const PANELS: readonly PanelDefinition[] = Object.entries(
  ENTRIES as Record<string, PanelEntry>,
).flatMap(([id, entry]) => {
  const load = MODULES[`./${id}/index.tsx`];
  return load ? [{ ...entry, id: id as PanelId, component: lazy(load) }] : [];
});

const PANELS_BY_ID = new Map(PANELS.map((panel) => [panel.id, panel]));

export function findPanel(id: PanelId): PanelDefinition | undefined {
  return PANELS_BY_ID.get(id);
}
