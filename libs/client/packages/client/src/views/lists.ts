/** Decisions, changes of strategies, alerts, alert rules, notifications, items and processes. */

import type {
  AgentStatus,
  Alert,
  AlertRule,
  AlertRuleUpdate,
  Configuration,
  ConfigurationUpdate,
  ConnectionCounts,
  Decision,
  Item,
  ItemMetrics,
  Notification,
  NotificationsRead,
  PublicAgentStatus,
  RetractedItem,
  StrategyUpdate,
  UnreadCount,
} from "../generated/types.js";
import type { StreamEvent } from "../source.js";
import type { Fold } from "./fold.js";
import { noRows, type Rows, RowsDraft, replaceFields, UNPLACED } from "./rows.js";

/** How many rows a list of recent events has. A stream begins with the last 100. */
export const MAX_RECENT = 200;
export const MAX_AGENTS = 200;

/** A list of events that never change: the newest ones. */
function recentFold<V>(type: string, keyOf: (value: V) => string): Fold<Rows<V>> {
  return {
    types: [type],
    empty: noRows(),
    isSnapshot: () => false,
    apply(state, events) {
      const draft = new RowsDraft(state);
      for (const { data, id } of events) draft.put(keyOf(data as V), data as V, id ?? "", id ?? "");
      draft.trim(MAX_RECENT);
      return draft.finish();
    },
  };
}

export const DECISIONS = recentFold<Decision>("ai:decision", (one) => one.decisionId);
export const ALERTS = recentFold<Alert>("alert:new", (one) => one.alertId);
/** The last change of each strategy. */
export const STRATEGIES = recentFold<StrategyUpdate>("strategy:update", (one) => one.strategyId);

/** What a user has set up: each event has all of it after a change. */
function settingsFold<V, U extends { readonly change: string }>(
  type: string,
  toValue: (update: U) => V,
  keyOf: (value: V) => string,
): Fold<Rows<V>> {
  return {
    types: [type],
    empty: noRows(),
    isSnapshot: () => false,
    apply(state, events) {
      const draft = new RowsDraft(state);
      for (const event of events) {
        const data = event.data as U;
        const [value, at] = [toValue(data), event.id ?? ""];
        if (data.change === "deleted") draft.remove(keyOf(value), at);
        else draft.put(keyOf(value), value, at, data.change === "created" ? at : "");
      }
      draft.trim(MAX_RECENT);
      return draft.finish();
    },
  };
}

export const ALERT_RULES = settingsFold<AlertRule, AlertRuleUpdate>(
  "rule:update",
  ({ change: _, alertId: __, ...rule }) => rule,
  (rule) => rule.ruleId,
);

export const CONFIGURATIONS = settingsFold<Configuration, ConfigurationUpdate>(
  "configuration:update",
  ({ change: _, ...configuration }) => configuration,
  (configuration) => configuration.id,
);

export interface NotificationsState {
  readonly notifications: Rows<Notification>;
  /** How many the user has not read, null before it is known. */
  readonly unread: number | null;
}

function isUnreadCount(event: StreamEvent): boolean {
  return event.type === "notification:unread";
}

export const NOTIFICATIONS: Fold<NotificationsState> = {
  types: ["notification", "notification:read", "notification:unread"],
  empty: { notifications: noRows(), unread: null },
  isSnapshot: isUnreadCount,
  apply(state, events) {
    const draft = new RowsDraft(state.notifications);
    let { unread } = state;
    for (const event of events) unread = applyNotification(draft, unread, event);
    draft.trim(MAX_RECENT);
    return replaceFields(state, { notifications: draft.finish(), unread });
  },
};

/** Change the rows by an event. Returns how many are unread then, null if that is not known. */
function applyNotification(
  draft: RowsDraft<Notification>,
  unread: number | null,
  { type, data, id }: StreamEvent,
): number | null {
  if (type === "notification:unread") return (data as UnreadCount).unread;
  if (type === "notification:read") {
    markRead(draft, data as NotificationsRead, id ?? "");
    const { ids } = data as NotificationsRead;
    if (unread === null) return null;
    return ids === null ? 0 : Math.max(0, unread - ids.length);
  }
  const one = data as Notification;
  const isUnread = !one.is_read && !draft.byKey.has(one.id);
  draft.put(one.id, one, id ?? "", id ?? "");
  return unread !== null && isUnread ? unread + 1 : unread;
}

/** Mark those rows as read that there are. */
export function markRead(
  draft: RowsDraft<Notification>,
  { ids }: NotificationsRead,
  at: string,
): void {
  for (const key of ids ?? [...draft.byKey.keys()]) {
    const known = draft.byKey.get(key)?.value;
    if (known !== undefined) draft.put(key, { ...known, is_read: true }, at, "");
  }
}

export const ITEMS: Fold<Rows<Item>> = {
  types: ["new_item", "item:corrected", "item:retracted"],
  empty: noRows(),
  isSnapshot: () => false,
  apply(state, events) {
    const draft = new RowsDraft(state);
    for (const { type, data, id } of events) {
      const key = (data as Item | RetractedItem).id;
      if (type === "item:retracted") draft.remove(key, id ?? "");
      else draft.put(key, data as Item, id ?? "", type === "new_item" ? (id ?? "") : UNPLACED);
    }
    draft.trim(MAX_RECENT);
    return draft.finish();
  },
};

/** The key of a process: what one instance of a service is called. */
export function agentKey(agent: Pick<AgentStatus, "service" | "instance">): string {
  return `${agent.service}/${agent.instance}`;
}

export const AGENTS: Fold<Rows<AgentStatus>> = {
  types: ["agent:status"],
  empty: noRows(),
  isSnapshot: () => false,
  apply(state, events) {
    const draft = new RowsDraft(state);
    for (const { data, id } of events) {
      const agent = { detail: null, ...(data as AgentStatus | PublicAgentStatus) };
      draft.put(agentKey(agent), agent, id ?? "", id ?? "");
    }
    draft.trim(MAX_AGENTS);
    return draft.finish();
  },
};

function newestFold<V>(type: string): Fold<V | null> {
  return {
    types: [type],
    empty: null,
    isSnapshot: () => true,
    apply: (state, events) => (events.at(-1)?.data as V | undefined) ?? state,
    reset: (state) => state,
  };
}

export const ITEM_METRICS = newestFold<ItemMetrics>("item:metrics");
export const CONNECTION_COUNTS = newestFold<ConnectionCounts>("metrics");
