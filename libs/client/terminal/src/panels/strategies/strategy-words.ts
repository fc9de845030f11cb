/** Strategies in words. Pure. */

import type { Strategy } from "@tapewire/client";

import type { Formats } from "../../format/index.js";

const STATUS_WORDS: Readonly<Record<string, string>> = {
  created: "Not started",
  started: "Running",
  stopped: "Stopped",
  completed: "Completed",
  error: "Failed",
  deleted: "Deleted",
};

export const RULE_NAMES: Readonly<Record<Strategy["rule"]["kind"], string>> = {
  moving_average_crossover: "Moving average crossover",
  breakout: "Breakout",
  mean_reversion: "Mean reversion",
};

export function statusWord(status: string): string {
  return STATUS_WORDS[status] ?? status;
}

export function toneOf(status: string): "good" | "bad" | "warn" | undefined {
  if (status === "started") return "good";
  if (status === "error") return "bad";
  return status === "stopped" ? "warn" : undefined;
}

export function canStart({ status }: Pick<Strategy, "status">): boolean {
  return status === "created" || status === "stopped" || status === "error";
}

/** "Buys when the average of 3 prices rises above that of 9, sells when it falls below." */
export function describeRule(rule: Strategy["rule"], formats: Formats): string {
  if (rule.kind === "moving_average_crossover") {
    return `Buys when the average of ${formats.count(rule.fast)} prices rises above that of ${formats.count(rule.slow)}, sells when it falls below.`;
  }
  if (rule.kind === "breakout") {
    const margin = rule.marginPercent ? `${formats.quantity(rule.marginPercent)}\u00a0% ` : "";
    return `Buys ${margin}above the highest of the last ${formats.count(rule.window)} prices, sells ${margin === "" ? "" : "as much "}below the lowest.`;
  }
  const deviations = formats.quantity(rule.deviations);
  return `Buys ${deviations} standard deviations below the mean of ${formats.count(rule.window)} prices, sells as far above it.`;
}

/** The stop-loss and take-profit; "" for neither. */
export function describeProtection(
  { stopLoss, takeProfit, isProtected }: Strategy,
  formats: Formats,
): string {
  const parts: string[] = [];
  if (stopLoss)
    parts.push(
      `${stopLoss.kind === "trailing" ? "trailing " : ""}stop-loss ${formats.quantity(stopLoss.percent)}\u00a0%`,
    );
  if (takeProfit) parts.push(`take-profit ${formats.quantity(takeProfit.percent)}\u00a0%`);
  const text = parts.join(", ");
  return text !== "" && isProtected === false ? `${text} (switched off)` : text;
}
