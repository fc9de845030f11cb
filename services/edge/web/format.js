/**
 * Formats numbers and times in the user's locale, and parses typed numbers.
 *
 * Prices and quantities show all their digits. Calculated numbers (averages, money, percentages) are
 * rounded, but small ones keep some significant digits: 0.00001234 is not 0.00.
 */

const DASH = "–";
/** Decimal places of prices and quantities. */
const MAX_PLACES = 8;
/** Decimal places that a calculated number shows at most. */
const MAX_ROUNDED_PLACES = 12;
const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * @param {Intl.NumberFormatOptions} options
 * @returns {(value: unknown) => string}  a dash for anything but a number
 */
function numberFormat(options) {
  const format = new Intl.NumberFormat(undefined, options);
  return (value) => (typeof value === "number" ? format.format(value) : DASH);
}

/**
 * Format a calculated number: rounded to `places`, or to as many significant digits where it is
 * smaller.
 *
 * @param {number} places
 * @param {Intl.NumberFormatOptions} options
 * @returns {(value: unknown) => string}  a dash for anything but a number
 */
function roundedFormat(places, options) {
  /** By decimal places. @type {Map<number, (value: unknown) => string>} */
  const formats = new Map();
  return (value) => {
    const exponent = typeof value === "number" && value !== 0 ? Math.floor(Math.log10(Math.abs(value))) : 0;
    const needed = Math.min(Math.max(places, places - 1 - exponent), MAX_ROUNDED_PLACES);
    let format = formats.get(needed);
    if (!format) {
      format = numberFormat({ ...options, maximumFractionDigits: needed });
      formats.set(needed, format);
    }
    return format(value);
  };
}

export const price = numberFormat({ minimumFractionDigits: 2, maximumFractionDigits: MAX_PLACES });
export const averagePrice = roundedFormat(4, { minimumFractionDigits: 2 });
export const money = roundedFormat(2, { minimumFractionDigits: 2 });
export const quantity = numberFormat({ maximumFractionDigits: MAX_PLACES });
export const score = roundedFormat(2, { signDisplay: "exceptZero" });
export const change = numberFormat({
  minimumFractionDigits: 2,
  maximumFractionDigits: MAX_PLACES,
  signDisplay: "exceptZero",
});
const percentNumber = roundedFormat(2, { minimumFractionDigits: 2, signDisplay: "exceptZero" });

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
 * Write a number as `parseNumber` reads it: with all its digits, and without an exponent.
 *
 * @param {number} value
 */
export function editable(value) {
  const text = String(value);
  return text.includes("e") ? value.toFixed(MAX_PLACES).replace(/\.?0+$/, "") : text;
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
