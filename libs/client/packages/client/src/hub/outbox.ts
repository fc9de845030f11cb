/**
 * The events that wait for the next frame: lossless ones in order, and the newest of each value.
 *
 * A value is an event without id that replaces the earlier ones of its key: the quote of a symbol, a
 * bar, the account. A list of values (`initializing`, `bar:snapshot`) replaces what waits of its
 * members. In a frame the lossless events come first.
 */

import type { StreamEvent } from "../source.js";

type Data = Readonly<Record<string, unknown>>;

const REPLACED_WHOLE = new Set(["account:update", "metrics"]);

function dataOf(event: StreamEvent): Data {
  return typeof event.data === "object" && event.data !== null ? (event.data as Data) : {};
}

/** What the event is the newest value of; null: it is lossless. */
export function valueKey(event: StreamEvent): string | null {
  if (event.type === "checkpoint") return event.type;
  if (event.id !== null) return null;
  const data = dataOf(event);
  if (
    (event.type === "price:update" || event.type === "price:stale") &&
    typeof data.symbol === "string"
  ) {
    return `price ${data.symbol}`;
  }
  if (event.type === "bar:update") return `${seriesKey(data)}${String(data.start)}`;
  return REPLACED_WHOLE.has(event.type) && data.snapshot !== true ? event.type : null;
}

function seriesKey(data: Data): string {
  return `bar ${String(data.symbol)} ${String(data.interval)} `;
}

/** The symbol of a quote; null: the event is none. */
export function quotedSymbol(event: StreamEvent): string | null {
  if (event.type !== "price:update" && event.type !== "price:stale") return null;
  const { symbol } = dataOf(event);
  return typeof symbol === "string" ? symbol : null;
}

export class Outbox {
  #events: StreamEvent[] = [];
  readonly #values = new Map<string, StreamEvent>();

  get isEmpty(): boolean {
    return this.#events.length === 0 && this.#values.size === 0;
  }

  add(event: StreamEvent): void {
    const key = valueKey(event);
    if (key !== null) {
      this.#values.set(key, event);
      return;
    }
    this.#dropReplaced(event);
    this.#events.push(event);
  }

  /** The events of the next frame; afterwards none wait. */
  take(): StreamEvent[] {
    const events = [...this.#events, ...this.#values.values()];
    this.clear();
    return events;
  }

  clear(): void {
    this.#events = [];
    this.#values.clear();
  }

  #dropReplaced(event: StreamEvent): void {
    const data = dataOf(event);
    if (event.type === "bar:snapshot") {
      const prefix = seriesKey(data);
      for (const key of this.#values.keys()) if (key.startsWith(prefix)) this.#values.delete(key);
    } else if (event.type === "price:update" && Array.isArray(data.prices)) {
      for (const { symbol } of data.prices as Data[])
        this.#values.delete(`price ${String(symbol)}`);
    }
  }
}
