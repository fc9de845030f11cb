/** One event of the past in words. Pure. */

import type {
  Alert,
  AlertRuleUpdate,
  Decision,
  Notification,
  Order,
  Position,
  StrategyUpdate,
} from "@tapewire/client";

import type { Formats } from "../../format/index.js";
import { describeRule } from "../alerts/rule-words.js";
import { describeOrder, statusWord } from "../blotter/order-words.js";

interface PastEvent {
  readonly type: string;
  /** What the server sent; its shape follows from `type`. */
  readonly data: unknown;
}

/** "Buy 100 IBM at 181.50: filled". Unknown events are named by their type. */
export function describeEvent({ type, data }: PastEvent, formats: Formats): string {
  if (typeof data !== "object" || data === null) return type;
  switch (type) {
    case "order:update":
    case "order:fill": {
      const order = data as Order;
      return `${describeOrder(order, formats)}: ${statusWord(order.status).toLowerCase()}`;
    }
    case "trade:new":
    case "trade:corrected":
      return describeTrade(type, data as TradeData, formats);
    case "position:update": {
      const { positions } = data as { readonly positions: readonly Position[] };
      return positions
        .map(({ symbol, quantity }) => `You hold ${formats.quantity(quantity)} ${symbol}`)
        .join(", ");
    }
    case "strategy:update": {
      const { name, change, message } = data as StrategyUpdate;
      return `${name}: ${change.replaceAll("_", " ")}${message ? `, ${message}` : ""}`;
    }
    case "ai:decision": {
      const { action, symbol, reasoning } = data as Decision;
      return `Decision: ${action} ${symbol}, ${reasoning}`;
    }
    case "alert:new":
      return `Alert: ${(data as Alert).message}`;
    case "rule:update": {
      const rule = data as AlertRuleUpdate;
      return `Alert rule ${rule.change}: ${describeRule(rule, formats)}`;
    }
    case "notification:read":
      return "You marked notifications as read";
    case "notification": {
      const { title, message } = data as Notification;
      return `Notification: ${title}${message ? `, ${message}` : ""}`;
    }
    default:
      return type;
  }
}

interface TradeData {
  readonly side: "buy" | "sell";
  readonly symbol: string;
  readonly qty: number;
  readonly price: number;
}

function describeTrade(
  type: string,
  { side, symbol, qty, price }: TradeData,
  formats: Formats,
): string {
  if (qty === 0) return `An execution of ${symbol} was taken back`;
  const verb = side === "buy" ? "Bought" : "Sold";
  const correction = type === "trade:corrected" ? ", corrected" : "";
  return `${verb} ${formats.quantity(qty)} ${symbol} at ${formats.price(price)}${correction}`;
}
