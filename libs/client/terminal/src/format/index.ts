/** Numbers and times by locale, both ways. `useTerminal().formats` is the one of the page. */

import { createNumberFormats, type NumberFormats } from "./numbers.js";
import { createNumberParser, type NumberParser } from "./parse-number.js";
import { createTimeFormats, type TimeFormats } from "./times.js";

export interface Formats extends NumberFormats, TimeFormats, NumberParser {
  readonly locale: string;
}

export function createFormats(locale: string): Formats {
  return {
    locale,
    ...createNumberFormats(locale),
    ...createTimeFormats(locale),
    ...createNumberParser(locale),
  };
}

export { DASH, MAX_PLACES, type Numeric } from "./numbers.js";
export type { ParsedNumber, ParseOptions } from "./parse-number.js";
export { type Timestamp, toDate } from "./times.js";
