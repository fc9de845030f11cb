/** Formats numbers and times in the user's locale, and parses typed numbers. */

const DASH = "–";
const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * @param {Intl.NumberFormatOptions} options
 * @returns {(value: unknown) => string}  a dash for anything but a number
 */
function numberFormat(options) {
  const format = new Intl.NumberFormat(undefined, options);
  return (value) => (typeof value === "number" ? format.format(value) : DASH);
}

export const price = numberFormat({ minimumFractionDigits: 2, maximumFractionDigits: 4 });
export const money = numberFormat({ minimumFractionDigits: 2, maximumFractionDigits: 2 });
export const quantity = numberFormat({ maximumFractionDigits: 6 });
export const score = numberFormat({ maximumFractionDigits: 2, signDisplay: "exceptZero" });
export const change = numberFormat({
  minimumFractionDigits: 2,
  maximumFractionDigits: 4,
  signDisplay: "exceptZero",
});
const percentNumber = numberFormat({
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
  signDisplay: "exceptZero",
});

/** @param {unknown} value  in percent */
export function percent(value) {
  return typeof value === "number" ? `${percentNumber(value)} %` : DASH;
}

const timeFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const dateTimeFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** @param {string} timestamp  ISO 8601 */
export function time(timestamp) {
  const date = new Date(timestamp);
  return Number.isNaN(date.getTime()) ? DASH : timeFormat.format(date);
}

/** @param {string} timestamp  ISO 8601 */
export function fullTime(timestamp) {
  const date = new Date(timestamp);
  return Number.isNaN(date.getTime()) ? timestamp : dateTimeFormat.format(date);
}

/**
 * Format a timestamp less than a day away as a time, any other as a date.
 *
 * @param {string} timestamp  ISO 8601
 */
export function timeOrDate(timestamp) {
  const date = new Date(timestamp);
  const isDistant = Math.abs(Date.now() - date.getTime()) > DAY_MS;
  return isDistant ? dateFormat.format(date) : time(timestamp);
}

/**
 * Parse a typed number of at most 15 significant digits, which a JavaScript number holds exactly.
 * Thousands separators are rejected, because their meaning depends on the locale.
 *
 * @param {string} text
 * @returns {number | null}  null if the text is not such a number
 */
export function parseNumber(text) {
  const trimmed = text.trim();
  if (!/^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$/.test(trimmed)) return null;
  const digits = trimmed.replace(/[+.-]/g, "").replace(/^0+/, "");
  return digits.length > 15 ? null : Number(trimmed);
}
