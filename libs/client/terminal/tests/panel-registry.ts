/** The panels of the shell's tests, in place of the real ones: `vi.mock` puts this module there. */

import { type ComponentType, createElement } from "react";

/** What the panels show; the harness fills it in. */
export const contents: { watchlist: ComponentType; ticket: ComponentType } = {
  watchlist: () => null,
  ticket: () => null,
};

const place = { x: 0, y: 0, width: 8, height: 8 };
const Watchlist = () => createElement(contents.watchlist);
const Ticket = () => createElement(contents.ticket);

export const PANELS = [
  {
    id: "watchlist",
    title: "Watchlist",
    description: "Prices.",
    access: "public",
    places: { trade: place },
    key: "w",
    tab: "Market",
    component: Watchlist,
  },
  {
    id: "ticket",
    title: "Order ticket",
    description: "Place an order.",
    access: "session",
    places: { trade: { ...place, x: 8 } },
    key: "t",
    tab: "Trade",
    component: Ticket,
  },
  {
    id: "services",
    title: "Services",
    description: "All services.",
    access: "admin",
    places: { operations: place },
    tab: "Operations",
    component: Watchlist,
  },
];

export const findPanel = (id: string) => PANELS.find((panel) => panel.id === id);
