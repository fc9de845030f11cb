/** What everybody may see: items, their metrics, processes and connections. */

import type { AgentStatus, ConnectionCounts, Item, ItemMetrics } from "@tapewire/client";
import { useTapewire } from "../provider.js";
import { type List, useKeyed, useKeys, useList, useReadable } from "./stores.js";

type Key = string | null | undefined;

/** Analysed items; `useItem` reads one. */
export function useItems(): List {
  return useList(useTapewire().items);
}

export function useItem(id: Key): Item | undefined {
  return useKeyed(useTapewire().items, id);
}

/** Counts of all items; null before they are known. */
export function useItemMetrics(): ItemMetrics | null {
  return useReadable(useTapewire().itemMetrics, null);
}

/** The keys of the processes of all services; `useAgent` reads one. */
export function useAgents(): readonly string[] {
  return useKeys(useTapewire().agents);
}

export function useAgent(key: Key): AgentStatus | undefined {
  return useKeyed(useTapewire().agents, key);
}

/** How many clients are connected, and for admins how many of each user; null before it is known. */
export function useConnectionCounts(): ConnectionCounts | null {
  return useReadable(useTapewire().connectionCounts, null);
}
