/**
 * Values in cells and texts. A direction is shown by sign and arrow, never by colour alone; the arrow
 * is hidden from screen readers, which read the sign.
 */

import { useFormats } from "../app/terminal-context.js";
import { type Numeric, type Timestamp, toDate } from "../format/index.js";
import { useNow } from "./now.js";

export type Direction = "up" | "down" | "level";

export function directionOf(value: Numeric): Direction {
  if (value === null || value === undefined || value === 0 || Number.isNaN(value)) return "level";
  return value > 0 ? "up" : "down";
}

const ARROWS: Record<Direction, string> = { up: "▲", down: "▼", level: "" };

function Directed({ value, text }: { readonly value: Numeric; readonly text: string }) {
  const direction = directionOf(value);
  return (
    <span className="num" data-direction={direction}>
      {text}
      <span className="arrow" aria-hidden="true">
        {ARROWS[direction]}
      </span>
    </span>
  );
}

/** All digits as received. `moved`: the sign of the last change, as an arrow. */
export function Price({ value, moved }: { readonly value: Numeric; readonly moved?: Numeric }) {
  const text = useFormats().price(value);
  return moved === undefined ? (
    <span className="num">{text}</span>
  ) : (
    <Directed value={moved} text={text} />
  );
}

/** Money, rounded to two places. `isSigned`: a profit or loss, with sign and arrow. */
export function Money({
  value,
  isSigned = false,
}: {
  readonly value: Numeric;
  readonly isSigned?: boolean;
}) {
  const formats = useFormats();
  if (!isSigned) return <span className="num">{formats.money(value)}</span>;
  return <Directed value={value} text={formats.signedMoney(value)} />;
}

export function Quantity({
  value,
  isSigned = false,
}: {
  readonly value: Numeric;
  readonly isSigned?: boolean;
}) {
  const formats = useFormats();
  return (
    <span className="num">
      {isSigned ? formats.signedQuantity(value) : formats.quantity(value)}
    </span>
  );
}

/** A change of price, with sign and arrow. */
export function Change({ value }: { readonly value: Numeric }) {
  return <Directed value={value} text={useFormats().change(value)} />;
}

/** A change in percent, with sign and arrow. */
export function Percent({ value }: { readonly value: Numeric }) {
  return <Directed value={value} text={useFormats().percent(value)} />;
}

/** A time, or a date when it is more than a day away; the whole timestamp as a title. */
export function Time({
  value,
  show = "timeOrDate",
}: {
  readonly value: Timestamp;
  readonly show?: "time" | "timeOrDate" | "dateTime";
}) {
  const formats = useFormats();
  const date = toDate(value);
  if (date === null) return <span>{formats.time(null)}</span>;
  return (
    <time className="num" dateTime={date.toISOString()} title={formats.dateTime(date)}>
      {formats[show](date)}
    </time>
  );
}

/** How long ago something was, ticking every second: "12 s". Screen readers do not hear the ticks. */
export function Age({ since }: { readonly since: Timestamp }) {
  const now = useNow();
  const date = toDate(since);
  return (
    <span className="num">
      {useFormats().duration(date === null ? null : (now - date.getTime()) / 1000)}
    </span>
  );
}
