/** The session, the connection, and everything of the user who is signed in. */

import type {
  Account,
  Alert,
  AlertRule,
  Configuration,
  ConnectionStatus,
  Decision,
  Order,
  Position,
  SessionState,
  Strategy,
  StreamReset,
  Trade,
  Transport,
} from "@tapewire/client";
import { useTapewire } from "../provider.js";
import { type List, useKeyed, useKeys, useList, useReadable } from "./stores.js";

const LOADING: SessionState = { name: "loading" };
const CONNECTING: ConnectionStatus = { name: "connecting", tries: 0 };
const NO_KEYS: readonly string[] = [];
type Key = string | null | undefined;

/** Who is signed in. */
export function useSession(): SessionState {
  return useReadable(useTapewire().session, LOADING);
}

/** The state of the connection. */
export function useConnection(): ConnectionStatus {
  return useReadable(useTapewire().connection.status, CONNECTING);
}

/** Epoch milliseconds of the last event that arrived; null before the first. */
export function useLastEventAt(): number | null {
  return useReadable(useTapewire().connection.lastEventAt, null);
}

/** The last time that the server could not resume; null if it always could. */
export function useLastReset(): StreamReset | null {
  return useReadable(useTapewire().connection.lastReset, null);
}

/** Who holds the connection: a worker, another tab, or this one. */
export function useTransport(): Transport {
  return useReadable(useTapewire().connection.transport, "none");
}

/** The user's orders; `useOrder` reads one. */
export function useOrders(): List {
  return useList(useTapewire().orders);
}

export function useOrder(orderId: Key): Order | undefined {
  return useKeyed(useTapewire().orders, orderId);
}

/** The ids of the orders that may still be executed, the newest first. */
export function useOpenOrders(): readonly string[] {
  return useReadable(useTapewire().openOrderIds, NO_KEYS);
}

/** The user's executions; `useTrade` reads one. */
export function useTrades(): List {
  return useList(useTapewire().trades);
}

export function useTrade(tradeId: Key): Trade | undefined {
  return useKeyed(useTapewire().trades, tradeId);
}

/** The symbols of the user's positions: those that are held, and then those that are closed. */
export function usePositions(): readonly string[] {
  return useKeys(useTapewire().positions);
}

export function usePosition(symbol: Key): Position | undefined {
  return useKeyed(useTapewire().positions, symbol);
}

/** The user's account; null before it is known. */
export function useAccount(): Account | null {
  return useReadable(useTapewire().account, null);
}

/** The user's strategies; `useStrategy` reads one. */
export function useStrategies(): List {
  return useList(useTapewire().strategies);
}

export function useStrategy(strategyId: Key): Strategy | undefined {
  return useKeyed(useTapewire().strategies, strategyId);
}

/** The latest decisions of the user's strategies; `useDecision` reads one. */
export function useDecisions(): List {
  return useList(useTapewire().decisions);
}

export function useDecision(decisionId: Key): Decision | undefined {
  return useKeyed(useTapewire().decisions, decisionId);
}

/** The user's alerts; `useAlert` reads one. */
export function useAlerts(): List {
  return useList(useTapewire().alerts);
}

export function useAlert(alertId: Key): Alert | undefined {
  return useKeyed(useTapewire().alerts, alertId);
}

/** The user's alert rules, the oldest first; `useAlertRule` reads one. */
export function useAlertRules(): List {
  return useList(useTapewire().alertRules);
}

export function useAlertRule(ruleId: Key): AlertRule | undefined {
  return useKeyed(useTapewire().alertRules, ruleId);
}

/** The user's configurations of the dashboard, the oldest first; `useConfiguration` reads one. */
export function useConfigurations(): List {
  return useList(useTapewire().configurations);
}

export function useConfiguration(id: Key): Configuration | undefined {
  return useKeyed(useTapewire().configurations, id);
}
