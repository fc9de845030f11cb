/**
 * Typed numbers of a locale. What could mean two numbers is refused with a text that says how to
 * write it: a million shares instead of a thousand is not a typing error that one wants to pay for.
 */

import { MAX_PLACES } from "./numbers.js";

export type ParsedNumber =
  | { readonly ok: true; readonly value: number }
  /** `error` is a whole sentence for the user. `isEmpty`: there was nothing to parse. */
  | { readonly ok: false; readonly error: string; readonly isEmpty: boolean };

export interface ParseOptions {
  /** Decimal places that are allowed; 8 without it. */
  readonly maxPlaces?: number;
  readonly min?: number;
  readonly max?: number;
  /** Refuse `min` itself. */
  readonly isMinExclusive?: boolean;
}

export interface NumberParser {
  /** Parse a typed number of at most 15 significant digits, which a JavaScript number holds exactly. */
  parse(text: string, options?: ParseOptions): ParsedNumber;
  /** Write a number as `parse` reads it: all digits, no group separators, no exponent. */
  editable(value: number): string;
}

/** Significant digits that a number of JavaScript holds exactly. */
const MAX_DIGITS = 15;
const SPACES = /[\s\u00a0\u202f\u2009]/gu;
const APOSTROPHES = /[’'ʼ]/gu;
const MINUS_SIGNS = /[-−‐–﹣-]/gu;
/** Marks of the writing direction, which some locales put before a sign. */
const DIRECTION_MARKS = /[\u200e\u200f\u061c]/gu;

export function createNumberParser(locale: string): NumberParser {
  const format = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, useGrouping: true });
  const parts = format.formatToParts(-1234567.8);
  const integers = parts.filter(({ type }) => type === "integer").map(({ value }) => value);
  const decimal = parts.find(({ type }) => type === "decimal")?.value ?? ".";
  const group = normaliseSeparators(parts.find(({ type }) => type === "group")?.value ?? "");
  // 12,34,567 in India, 1,234,567 elsewhere.
  const middleGroup = integers.length > 2 ? [...(integers[1] ?? "")].length : 3;
  const digits = localeDigits(locale);
  const plain = new Intl.NumberFormat(locale, {
    maximumFractionDigits: MAX_PLACES,
    useGrouping: false,
  });

  const show = (value: number) =>
    new Intl.NumberFormat(locale, { maximumFractionDigits: MAX_PLACES }).format(value);
  const refuse = (error: string): ParsedNumber => ({ ok: false, error, isEmpty: false });

  function parse(text: string, options: ParseOptions = {}): ParsedNumber {
    const typed = text.replace(DIRECTION_MARKS, "").trim();
    if (typed === "") return { ok: false, error: "Enter a number.", isEmpty: true };
    const normal = normaliseSeparators(
      [...typed].map((character) => digits.get(character) ?? character).join(""),
    );
    const sign = /^[+-]/.exec(normal)?.[0] ?? "";
    const unsigned = normal.slice(sign.length).trim();
    const [whole = "", fraction] = unsigned.split(decimal);
    const error = characterError(typed, unsigned) ?? separatorError(typed, whole, fraction);
    if (error !== null) return refuse(error);
    const wholeDigits = group ? whole.replaceAll(group, "") : whole;
    const places = (fraction ?? "").replace(/0+$/, "");
    const sizeError = lengthError(wholeDigits + (fraction ?? ""), places.length, options);
    if (sizeError !== null) return refuse(sizeError);
    return checkRange(Number(`${sign}${wholeDigits || "0"}.${places || "0"}`), options);
  }

  /** What is in the text that belongs to no number. */
  function characterError(typed: string, unsigned: string): string | null {
    if (!/\d/.test(unsigned)) return `“${typed}” is not a number.`;
    const foreign = [...unsigned].find(
      (character) => !/\d/.test(character) && character !== decimal && character !== group,
    );
    if (foreign === "." || foreign === ",") return foreignSeparator(foreign);
    if (foreign === undefined) return null;
    return `“${typed}” is not a number: “${foreign.trim() || "a space"}” does not belong here.`;
  }

  /** What could be read in two ways, or is only a part of a number. */
  function separatorError(typed: string, whole: string, fraction: string | undefined) {
    if (typed.split(decimal).length > 2) {
      return `“${typed}” has more than one decimal separator (“${decimal}”).`;
    }
    if (fraction === "") {
      return `“${typed}” ends with a decimal separator: add digits or remove it.`;
    }
    if (!group) return null;
    if (fraction?.includes(group)) return foreignSeparator(group);
    const isGrouped = whole.includes(group);
    return isGrouped && !areGroupsRight(whole.split(group), middleGroup)
      ? misplacedGroup(typed)
      : null;
  }

  function checkRange(value: number, { min, max, isMinExclusive }: ParseOptions): ParsedNumber {
    if (min !== undefined && isMinExclusive && value <= min)
      return refuse(`Enter a number above ${show(min)}.`);
    if (min !== undefined && value < min) return refuse(`Enter at least ${show(min)}.`);
    if (max !== undefined && value > max) return refuse(`Enter at most ${show(max)}.`);
    return { ok: true, value: value === 0 ? 0 : value };
  }

  function foreignSeparator(separator: string): string {
    const grouping = group ? `, and ${nameOf(group)} groups thousands` : "";
    return `“${separator}” is not clear here: decimals are written with “${decimal}”${grouping}, as in ${show(1234.5)}.`;
  }

  function misplacedGroup(typed: string): string {
    return `“${typed}” is not clear: here ${nameOf(group)} groups thousands, as in ${show(1234567)}; decimals are written with “${decimal}”.`;
  }

  return { parse, editable: (value) => plain.format(value) };
}

function lengthError(digits: string, places: number, { maxPlaces = MAX_PLACES }: ParseOptions) {
  if (digits.replace(/^0+/, "").length > MAX_DIGITS) {
    return `That number has more than ${MAX_DIGITS} digits.`;
  }
  if (places <= maxPlaces) return null;
  return maxPlaces === 0
    ? "Enter a whole number."
    : `At most ${maxPlaces} decimal places are allowed.`;
}

function nameOf(separator: string): string {
  return separator === " " ? "a space" : `“${separator}”`;
}

/** One kind of space, of apostrophe and of minus. */
function normaliseSeparators(text: string): string {
  return text.replace(SPACES, " ").replace(APOSTROPHES, "’").replace(MINUS_SIGNS, "-");
}

function areGroupsRight(groups: readonly string[], middle: number): boolean {
  return groups.every((digits, index) => {
    if (index === groups.length - 1) return digits.length === 3;
    if (index === 0)
      return digits.length >= 1 && digits.length <= Math.max(middle, 2) && !/^0/.test(digits);
    return digits.length === middle;
  });
}

function localeDigits(locale: string): Map<string, string> {
  const format = new Intl.NumberFormat(locale, { useGrouping: false });
  return new Map(Array.from({ length: 10 }, (_, digit) => [format.format(digit), String(digit)]));
}
