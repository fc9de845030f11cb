/** Alert rules in words, and the body of a new one. Pure. */

import type { AlertRule, RuleBody } from "@tapewire/client";

import type { Formats, ParsedNumber, ParseOptions } from "../../format/index.js";

export type RuleKindName = AlertRule["kind"];
export type LevelName = AlertRule["level"];

export const KIND_NAMES: Readonly<Record<RuleKindName, string>> = {
  price_above: "Price above",
  price_below: "Price below",
  percent_move: "Move in percent",
  order_rejected: "Order rejected",
  strategy_error: "Strategy fails",
  stop_loss: "Stop-loss triggered",
};

export const LEVEL_NAMES: Readonly<Record<LevelName, string>> = {
  info: "Information",
  warning: "Warning",
  error: "Error",
};

/** "Price of IBM above 181.50". */
export function describeRule(
  rule: Pick<AlertRule, "kind" | "symbol" | "price" | "percent" | "windowSeconds">,
  formats: Formats,
): string {
  const of = rule.symbol === null ? "any symbol" : rule.symbol;
  switch (rule.kind) {
    case "price_above":
      return `Price of ${of} above ${formats.price(rule.price)}`;
    case "price_below":
      return `Price of ${of} below ${formats.price(rule.price)}`;
    case "percent_move":
      return `${of} moves by ${formats.quantity(rule.percent)}\u00a0% within ${formats.duration(rule.windowSeconds)}`;
    case "order_rejected":
      return `An order for ${of} is rejected`;
    case "strategy_error":
      return rule.symbol === null ? "A strategy fails" : `A strategy on ${of} fails`;
    case "stop_loss":
      return rule.symbol === null
        ? "A stop-loss is triggered"
        : `A stop-loss on ${of} is triggered`;
    default:
      return rule.kind;
  }
}

export function needsSymbol(kind: RuleKindName): boolean {
  return kind === "price_above" || kind === "price_below" || kind === "percent_move";
}

export interface RuleFields {
  readonly kind: RuleKindName;
  readonly symbol: string | null;
  readonly level: LevelName;
  readonly price: string;
  readonly percent: string;
  readonly windowSeconds: string;
}

export const RULE_OPTIONS = {
  price: { min: 0, isMinExclusive: true },
  percent: { min: 0, isMinExclusive: true },
  windowSeconds: { min: 1, maxPlaces: 0 },
} as const satisfies Record<string, ParseOptions>;

export function readRule(
  fields: RuleFields,
  parse: (text: string, options?: ParseOptions) => ParsedNumber,
): { readonly body: RuleBody } | { readonly errors: Readonly<Record<string, string>> } {
  const errors: Record<string, string> = {};
  const number = (name: keyof typeof RULE_OPTIONS): number => {
    const parsed = parse(fields[name], RULE_OPTIONS[name]);
    if (parsed.ok) return parsed.value;
    errors[name] = parsed.error;
    return 0;
  };
  const { kind, level } = fields;
  if (needsSymbol(kind) && fields.symbol === null) errors.symbol = "Choose a symbol.";
  const terms =
    kind === "percent_move"
      ? { percent: number("percent"), windowSeconds: number("windowSeconds") }
      : kind === "price_above" || kind === "price_below"
        ? { price: number("price") }
        : {};
  if (Object.keys(errors).length > 0) return { errors };
  return {
    body: { kind, level, ...(fields.symbol !== null && { symbol: fields.symbol }), ...terms },
  };
}

/** The field that shows an error of the server. */
export function fieldOfError({ field }: { readonly field?: string | undefined }) {
  return field !== undefined && (field === "symbol" || field in RULE_OPTIONS) ? field : undefined;
}

/** A rule that is met at once: the price is above half of what it is now. */
export function demoRule(symbol: string, price: number): RuleBody {
  return price > 0
    ? { kind: "price_above", symbol, price: Number((price / 2).toFixed(2)) || price, level: "info" }
    : { kind: "percent_move", symbol, percent: 0.01, windowSeconds: 60, level: "info" };
}
