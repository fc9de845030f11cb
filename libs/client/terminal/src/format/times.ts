/** Times, ages and durations in words of a locale. Timestamps are ISO 8601 texts or epoch milliseconds. */

import { DASH } from "./numbers.js";

export type Timestamp = string | number | Date | null | undefined;

export interface TimeFormats {
  /** 14:05:09 */
  readonly time: (timestamp: Timestamp) => string;
  /** Jul 5, 2026 */
  readonly date: (timestamp: Timestamp) => string;
  readonly dateTime: (timestamp: Timestamp) => string;
  /** A time within the last day, else a date. */
  readonly timeOrDate: (timestamp: Timestamp) => string;
  /** An age or a wait, short: 0.4 s, 12 s, 3 min, 2 h, 5 d. */
  readonly duration: (seconds: number | null | undefined) => string;
  /** "3 minutes ago", "in 5 seconds". */
  readonly relative: (timestamp: Timestamp, now?: number) => string;
}

const DAY_MS = 24 * 60 * 60 * 1000;

export function createTimeFormats(locale: string): TimeFormats {
  const timeFormat = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
  const dateFormat = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
  const dateTimeFormat = new Intl.DateTimeFormat(locale, {
    dateStyle: "medium",
    timeStyle: "medium",
  });
  const relativeFormat = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const tenths = new Intl.NumberFormat(locale, {
    minimumFractionDigits: 1,
    maximumFractionDigits: 1,
  });
  const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });

  const formatWith = (format: Intl.DateTimeFormat) => (timestamp: Timestamp) => {
    const date = toDate(timestamp);
    return date === null ? DASH : format.format(date);
  };

  function duration(seconds: number | null | undefined): string {
    if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return DASH;
    const past = Math.max(0, seconds);
    if (past < 9.95) return `${tenths.format(past)}\u00a0s`;
    if (past < 120) return `${whole.format(past)}\u00a0s`;
    if (past < 7_200) return `${whole.format(Math.floor(past / 60))}\u00a0min`;
    if (past < 2 * 86_400) return `${whole.format(Math.floor(past / 3_600))}\u00a0h`;
    return `${whole.format(Math.floor(past / 86_400))}\u00a0d`;
  }

  function relative(timestamp: Timestamp, now = Date.now()): string {
    const date = toDate(timestamp);
    if (date === null) return DASH;
    const seconds = Math.round((date.getTime() - now) / 1000);
    const size = Math.abs(seconds);
    if (size < 60) return relativeFormat.format(seconds, "second");
    if (size < 3_600) return relativeFormat.format(Math.trunc(seconds / 60), "minute");
    if (size < 86_400) return relativeFormat.format(Math.trunc(seconds / 3_600), "hour");
    return relativeFormat.format(Math.trunc(seconds / 86_400), "day");
  }

  const time = formatWith(timeFormat);
  const date = formatWith(dateFormat);
  return {
    time,
    date,
    dateTime: formatWith(dateTimeFormat),
    timeOrDate: (timestamp) => {
      const moment = toDate(timestamp);
      const isDistant = moment !== null && Math.abs(Date.now() - moment.getTime()) > DAY_MS;
      return isDistant ? date(timestamp) : time(timestamp);
    },
    duration,
    relative,
  };
}

/** @returns null for what is not a time */
export function toDate(timestamp: Timestamp): Date | null {
  if (timestamp === null || timestamp === undefined) return null;
  const date = timestamp instanceof Date ? timestamp : new Date(timestamp);
  return Number.isNaN(date.getTime()) ? null : date;
}
