/** A server with orders and executions: its stream, its snapshot, and its lists by pages. */

import type { Order, Trade } from "../src/generated/types.js";
import { ApiError } from "../src/rest.js";
import type { StreamEvent } from "../src/source.js";
import { CONNECTED, event, order, trade } from "./events.js";
import { snapshot } from "./store-fixture.js";

const PAGE_ROWS = 4;

interface Lists {
  readonly orders: readonly Order[];
  readonly trades: readonly Trade[];
}

export class ModelServer {
  epoch = 1;
  /** Counts everything that was made, in all journals. */
  #made = 0;
  /** The events, of which the first has the sequence 1. */
  log: StreamEvent[] = [];
  #history: Lists[] = [{ orders: [], trades: [] }];

  get now(): Lists {
    return this.#history.at(-1) as Lists;
  }

  /** Something happens. */
  change(random: () => number): void {
    const { orders, trades } = this.now;
    const sequence = ++this.#made;
    const at = Math.floor(random() * orders.length);
    const known = orders[at];
    const kind = random();
    if (known === undefined || kind < 0.3) {
      const made = order(`o${sequence}`);
      this.#append("order:update", made, { orders: [...orders, made], trades });
    } else if (kind < 0.6) {
      const filledQty = known.filledQty + 1;
      const filled: Order = {
        ...known,
        filledQty,
        status: filledQty > 3 ? "filled" : "partially_filled",
      };
      this.#append("order:update", filled, {
        orders: orders.map((one) => (one === known ? filled : one)),
        trades,
      });
    } else if (kind < 0.9 || trades.length === 0) {
      const made = trade(`t${sequence}`, {
        orderId: known.orderId,
        qty: 5,
        venueTime: `of ${sequence}`, // which corrections do not repeat
      });
      this.#append("trade:new", made, { orders, trades: [...trades, made] });
    } else {
      const corrected = trades[Math.floor(random() * trades.length)] as Trade;
      const before = { qty: corrected.qty, price: corrected.price, fee: 0 };
      const row = {
        ...trade(corrected.tradeId, { orderId: corrected.orderId }),
        qty: sequence,
        before,
      };
      this.#append("trade:corrected", { ...row, number: 1 }, { orders, trades: [...trades, row] });
    }
  }

  /** The journal was replaced: ids have no order with those of before, and cursors are refused. */
  replaceJournal(): void {
    const { now } = this;
    this.epoch += 1;
    this.log = [];
    this.#history = [now];
    this.#append("order:update", order(`first of ${this.epoch}`), {
      ...now,
      orders: [...now.orders, order(`first of ${this.epoch}`)],
    });
  }

  /** What a stream of the topic opens with, now. */
  opening(): StreamEvent[] {
    return [CONNECTED, { ...snapshot(0, ...this.now.orders), id: this.#idOf(this.log.length) }];
  }

  /** The answer to a call, as of `lag` events ago. */
  answer(path: string, lag: number): unknown {
    const asOf = Math.max(0, this.log.length - lag);
    const lists = this.#history[asOf] as Lists;
    const isOrders = path.startsWith("/api/orders");
    const rows = [...(isOrders ? lists.orders : lists.trades)].reverse();
    const cursor = new URLSearchParams(path.split("?")[1]).get("cursor");
    const [epoch, left] = (cursor ?? `${this.epoch}:${rows.length}`).split(":").map(Number);
    if (epoch !== this.epoch) {
      return new ApiError({ error: "x", message: "x", statusCode: 422, path: "cursor" }, null);
    }
    const from = Math.max(0, rows.length - (left ?? 0)); // entries are numbered from the oldest
    const page = rows.slice(from, from + PAGE_ROWS);
    const next = rows.length - from - PAGE_ROWS;
    return {
      [isOrders ? "orders" : "trades"]: page,
      asOf: this.#idOf(asOf),
      ...(next > 0 && { next: `${this.epoch}:${next}` }),
    };
  }

  #append(type: string, data: unknown, lists: Lists): void {
    this.log.push({ ...event(type, data), id: this.#idOf(this.log.length + 1) });
    this.#history.push(lists);
  }

  #idOf(sequence: number): string {
    return `e${this.epoch}-${sequence}`;
  }
}
