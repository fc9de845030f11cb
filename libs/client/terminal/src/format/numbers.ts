/**
 * Numbers in words of a locale.
 *
 * Prices and quantities show all the digits they were received with, up to eight places. Calculated
 * numbers (averages, money, percentages) are rounded, but small ones keep significant digits:
 * 0.00001234 is not 0.00.
 */

/** Shown for a value that is not there. */
export const DASH = "–";
/** Decimal places of prices and quantities. */
export const MAX_PLACES = 8;
/** Decimal places that a calculated number shows at most. */
const MAX_ROUNDED_PLACES = 12;

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

export type Numeric = number | null | undefined;
export type NumberFormatter = (value: Numeric) => string;

export interface NumberFormats {
  /** All digits, at least two places. */
  readonly price: NumberFormatter;
  /** As `price`, with a sign: +0.05. */
  readonly change: NumberFormatter;
  /** A calculated price, rounded to four places. */
  readonly averagePrice: NumberFormatter;
  /** All digits. */
  readonly quantity: NumberFormatter;
  /** As `quantity`, with a sign. */
  readonly signedQuantity: NumberFormatter;
  /** Rounded to two places. */
  readonly money: NumberFormatter;
  /** As `money`, with a sign. */
  readonly signedMoney: NumberFormatter;
  /** A value in percent, with a sign and a percent sign. */
  readonly percent: NumberFormatter;
  /** A share from 0 to 1 as percent without a sign, such as a confidence. */
  readonly share: NumberFormatter;
  /** A sentiment score, with a sign. */
  readonly score: NumberFormatter;
  /** A count: 12,345. */
  readonly count: NumberFormatter;
  /** A size in bytes: 1.2 MB. */
  readonly bytes: NumberFormatter;
  /** Short, for places without room: 1.2M. */
  readonly compact: NumberFormatter;
}

export function createNumberFormats(locale: string): NumberFormats {
  const exact = (options: Intl.NumberFormatOptions): NumberFormatter => {
    const format = new Intl.NumberFormat(locale, options);
    return (value) => (isNumber(value) ? format.format(value) : DASH);
  };

  /** Round to `places`, or to as many significant digits where the number is smaller. */
  const rounded = (places: number, options: Intl.NumberFormatOptions): NumberFormatter => {
    const byPlaces = new Map<number, NumberFormatter>();
    return (value) => {
      const exponent = isNumber(value) && value !== 0 ? Math.floor(Math.log10(Math.abs(value))) : 0;
      const needed = Math.min(Math.max(places, places - 1 - exponent), MAX_ROUNDED_PLACES);
      let format = byPlaces.get(needed);
      if (!format) {
        format = exact({ ...options, maximumFractionDigits: needed });
        byPlaces.set(needed, format);
      }
      return format(value);
    };
  };

  const signed = { signDisplay: "exceptZero" } as const;
  const percentNumber = rounded(2, { minimumFractionDigits: 2, ...signed });
  const shareNumber = rounded(0, {});
  const bytesNumber = exact({ maximumFractionDigits: 1 });
  return {
    price: exact({ minimumFractionDigits: 2, maximumFractionDigits: MAX_PLACES }),
    change: exact({ minimumFractionDigits: 2, maximumFractionDigits: MAX_PLACES, ...signed }),
    averagePrice: rounded(4, { minimumFractionDigits: 2 }),
    quantity: exact({ maximumFractionDigits: MAX_PLACES }),
    signedQuantity: exact({ maximumFractionDigits: MAX_PLACES, ...signed }),
    money: rounded(2, { minimumFractionDigits: 2 }),
    signedMoney: rounded(2, { minimumFractionDigits: 2, ...signed }),
    percent: (value) => (isNumber(value) ? `${percentNumber(value)}\u00a0%` : DASH),
    share: (value) => (isNumber(value) ? `${shareNumber(value * 100)}\u00a0%` : DASH),
    score: rounded(2, signed),
    count: exact({ maximumFractionDigits: 0 }),
    bytes: (value) => {
      if (!isNumber(value)) return DASH;
      const power =
        value < 1 ? 0 : Math.min(Math.floor(Math.log10(value) / 3), BYTE_UNITS.length - 1);
      return `${bytesNumber(value / 1000 ** power)}\u00a0${BYTE_UNITS[power]}`;
    },
    compact: exact({ notation: "compact", maximumFractionDigits: 1 }),
  };
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && !Number.isNaN(value);
}
