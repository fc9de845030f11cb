/**
 * The table of orders, newest first, filled by the trading stream.
 *
 * All orders are kept; the newest `ROWS_AT_MOST` of those asked for are drawn, once a frame.
 */

import { everyFrame, find, make, say, write } from "./dom.js";
import * as format from "./format.js";

/**
 * @typedef {object} Order
 * @property {string} orderId
 * @property {string} clientOrderId
 * @property {string} symbol
 * @property {"buy" | "sell"} side
 * @property {"market" | "limit"} type
 * @property {number} qty
 * @property {number | null} limitPrice
 * @property {string} status
 * @property {number} filledQty
 * @property {number | null} filledAvgPrice
 * @property {string | null} reason
 * @property {string} timestamp
 */

export const ROWS_AT_MOST = 200;

/** @type {Record<string, string>} */
const STATUS_WORDS = {
  new: "Open",
  partially_filled: "Partly filled",
  filled: "Filled",
  canceled: "Canceled",
  rejected: "Rejected",
  failed: "Failed",
};

/** @param {Order} order */
export function isOpen({ status }) {
  return status === "new" || status === "partially_filled";
}

/**
 * An order in a few words: "Buy 100 IBM at 181.50".
 *
 * @param {Pick<Order, "side" | "qty" | "symbol" | "type" | "limitPrice">} order
 */
export function inWords({ side, qty, symbol, type, limitPrice }) {
  const at = type === "limit" ? `at ${format.price(limitPrice)}` : "at the market";
  return `${side === "buy" ? "Buy" : "Sell"} ${format.quantity(qty)} ${symbol} ${at}`;
}

/**
 * @param {HTMLElement} panel
 * @param {(order: Order) => Promise<void>} onCancel  settles when the request is answered
 */
export function ordersTable(panel, onCancel) {
  const body = find("tbody", panel);
  /** Oldest first. @type {Map<string, Order>} */
  let orders = new Map();
  /** @type {Map<string, ReturnType<typeof orderRow>>} */
  const rows = new Map();
  let emptyWords = "";
  let shown = "all";

  const draw = everyFrame(() => {
    const open = [...orders.values()].filter(isOpen);
    const asked = shown === "open" ? open : [...orders.values()];
    const drawn = asked.slice(-ROWS_AT_MOST).reverse();
    drawRows(drawn);
    write(find("#count-all", panel), String(orders.size));
    write(find("#count-open", panel), String(open.length));
    const none = orders.size > 0 ? "No open orders." : emptyWords;
    say(find(".empty", panel), drawn.length > 0 ? "" : none);
    const left = asked.length - drawn.length;
    say(find(".more", panel), left > 0 ? `${drawn.length} newest of ${asked.length} shown.` : "");
  });

  /** @param {Order[]} drawn */
  function drawRows(drawn) {
    const wanted = new Set(drawn.map(({ orderId }) => orderId));
    for (const [id, row] of rows) {
      if (wanted.has(id)) continue;
      row.element.remove();
      rows.delete(id);
    }
    drawn.forEach((order, at) => {
      let row = rows.get(order.orderId);
      if (!row) {
        row = orderRow(order, () => onCancel(/** @type {Order} */ (orders.get(order.orderId))));
        rows.set(order.orderId, row);
      }
      row.show(order);
      if (body.children[at] !== row.element) body.insertBefore(row.element, body.children[at]);
    });
  }

  find("#orders-filter", panel).addEventListener("change", (/** @type {any} */ event) => {
    shown = event.target.value;
    draw();
  });

  return {
    /** @param {Order[]} snapshot  everything that there is */
    replace(snapshot) {
      const byTime = [...snapshot].sort((a, b) => a.timestamp.localeCompare(b.timestamp));
      const found = new Map(byTime.map((order) => [order.orderId, order]));
      // What is on the page keeps its place; a snapshot after a reset moves nothing.
      const known = [...orders.keys()].filter((id) => found.has(id));
      const fresh = [...found.keys()].filter((id) => !orders.has(id));
      orders = new Map([...known, ...fresh].map((id) => [id, /** @type {Order} */ (found.get(id))]));
      draw();
    },
    /** @param {Order} order  as it is now */
    apply(order) {
      orders.set(order.orderId, { ...orders.get(order.orderId), ...order });
      draw();
    },
    /** @param {Order} order  from an answer, which may be older than what the stream has told */
    addIfUnknown(order) {
      if (!orders.has(order.orderId)) this.apply(order);
    },
    /** @param {string} why  what an empty table says */
    clear(why) {
      orders = new Map();
      emptyWords = why;
      draw();
    },
    /** @param {string} words  what an empty table says from now on */
    whenEmpty(words) {
      emptyWords = words;
      draw();
    },
  };
}

/**
 * @param {Order} first
 * @param {() => Promise<void>} cancel
 */
function orderRow(first, cancel) {
  const status = make("span", { class: "chip" });
  const reason = make("span", { class: "reason" });
  const filled = make("span", { class: "filled-words" });
  const bar = make("span", { class: "fill-bar", "aria-hidden": "true" });
  const average = make("td", { role: "cell", class: "num average", "data-label": "Avg price" });
  const when = make("time");
  const button = make("button", { type: "button", class: "quiet cancel" }, "Cancel");
  button.setAttribute("aria-label", `Cancel: ${inWords(first)}`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    await cancel();
    button.disabled = false;
  });
  const element = make(
    "tr",
    { role: "row", "data-order-id": first.orderId, "data-client-order-id": first.clientOrderId },
    make("th", { role: "rowheader", scope: "row", class: "what" }, ...whatIsOrdered(first)),
    make("td", { role: "cell", class: "state" }, status, reason),
    make("td", { role: "cell", class: "num fill", "data-label": "Filled" }, filled, bar),
    average,
    make("td", { role: "cell", class: "num when" }, when),
    make("td", { role: "cell", class: "act" }, button),
  );

  return {
    element,
    /** @param {Order} order */
    show(order) {
      element.dataset.status = order.status;
      element.dataset.dealt = order.filledQty > 0 ? "yes" : "no";
      write(status, STATUS_WORDS[order.status] ?? order.status);
      say(reason, order.reason ?? "");
      write(filled, `${format.quantity(order.filledQty)} / ${format.quantity(order.qty)}`);
      bar.style.setProperty("--filled", String(order.qty ? order.filledQty / order.qty : 0));
      write(average, format.price(order.filledAvgPrice));
      write(when, format.time(order.timestamp));
      when.dateTime = order.timestamp;
      when.title = format.fullTime(order.timestamp);
      button.hidden = !isOpen(order);
    },
  };
}

/** @param {Order} order */
function whatIsOrdered({ side, symbol, type, limitPrice }) {
  const terms = type === "limit" ? `limit ${format.price(limitPrice)}` : "market";
  return [
    make("span", { class: "side", "data-side": side }, side === "buy" ? "Buy" : "Sell"),
    " ",
    make("span", { class: "symbol" }, symbol),
    " ",
    make("span", { class: "terms" }, terms),
  ];
}
