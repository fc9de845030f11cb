/** Numbers and times as people read them, in the reader's own locale. */

const DASH = "–";

/**
 * @param {Intl.NumberFormatOptions} options
 * @returns {(value: unknown) => string}
 */
function numbers(options) {
  const format = new Intl.NumberFormat(undefined, options);
  return (value) => (typeof value === "number" ? format.format(value) : DASH);
}

export const price = numbers({ minimumFractionDigits: 2, maximumFractionDigits: 4 });
export const money = numbers({ minimumFractionDigits: 2, maximumFractionDigits: 2 });
export const quantity = numbers({ maximumFractionDigits: 6 });
export const change = numbers({
  minimumFractionDigits: 2,
  maximumFractionDigits: 4,
  signDisplay: "exceptZero",
});
const percentNumber = numbers({
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
  signDisplay: "exceptZero",
});

/** @param {unknown} value  in per cent already */
export function percent(value) {
  return typeof value === "number" ? `${percentNumber(value)} %` : DASH;
}

const timeOfDay = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dayAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** @param {string} timestamp ISO 8601 */
export function time(timestamp) {
  const at = new Date(timestamp);
  return Number.isNaN(at.getTime()) ? DASH : timeOfDay.format(at);
}

/** @param {string} timestamp ISO 8601 */
export function fullTime(timestamp) {
  const at = new Date(timestamp);
  return Number.isNaN(at.getTime()) ? timestamp : dayAndTime.format(at);
}

/**
 * A number that somebody typed. Exact up to 15 significant digits; more are refused rather than
 * rounded, as are thousands separators, which mean different things in different places.
 *
 * @param {string} text
 * @returns {number | null}
 */
export function typedNumber(text) {
  const trimmed = text.trim();
  if (!/^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$/.test(trimmed)) return null;
  const digits = trimmed.replace(/[+.-]/g, "").replace(/^0+/, "");
  return digits.length > 15 ? null : Number(trimmed);
}

export const score = numbers({ maximumFractionDigits: 2, signDisplay: "exceptZero" });

const dayOnly = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * The time of what was within a day, the date of what was before.
 *
 * @param {string} timestamp ISO 8601
 */
export function recent(timestamp) {
  const at = new Date(timestamp);
  const old = Math.abs(Date.now() - at.getTime()) > DAY_MS;
  return old ? dayOnly.format(at) : time(timestamp);
}
