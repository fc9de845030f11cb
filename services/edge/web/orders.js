/**
 * The table of orders, the newest first, filled by the trading stream.
 *
 * The table keeps all orders. It draws at most `MAX_ROWS` of those that match the filter, once per
 * frame.
 */

import { createElement, find, oncePerFrame, setMessage, setText } from "./dom.js";
import * as format from "./format.js";

/**
 * @typedef {object} Order
 * @property {string} orderId
 * @property {string} clientOrderId
 * @property {string} symbol
 * @property {"buy" | "sell"} side
 * @property {"market" | "limit" | "stop" | "stop_limit"} type
 * @property {number} qty
 * @property {number | null} limitPrice
 * @property {number=} stopPrice
 * @property {string=} timeInForce  absent: until it is canceled
 * @property {boolean=} reduceOnly
 * @property {string} status
 * @property {number} filledQty
 * @property {number | null} filledAvgPrice
 * @property {string | null} reason
 * @property {string} timestamp
 * @property {string} [waiting]  what it waits for, besides its price
 */

export const MAX_ROWS = 200;

/** @type {Record<string, string>} */
const STATUS_LABELS = {
  new: "Open",
  partially_filled: "Partly filled",
  pending_cancel: "Canceling…",
  pending_replace: "Changing…",
  filled: "Filled",
  canceled: "Canceled",
  rejected: "Rejected",
  failed: "Failed",
};

/** @type {Record<string, string>} */
const WAITING_TEXTS = {
  stale_quote: "Waits: the quote is out of date",
  crossed: "Waits: the bid is above the ask",
  no_offer: "Waits: nothing is offered",
  no_quote: "Waits: there is no quote yet",
};

/**
 * Describe what an order waits for; "" if that is nothing but its price.
 *
 * @param {Order} order
 */
export function describeWaiting({ waiting }) {
  return waiting ? (WAITING_TEXTS[waiting] ?? `Waits: ${waiting}`) : "";
}

/** @param {Order} order */
export function isOpen({ status }) {
  return ["new", "partially_filled", "pending_cancel", "pending_replace"].includes(status);
}

/**
 * Describe an order in a few words: "Buy 100 IBM at 181.50".
 *
 * @param {Pick<Order, "side" | "qty" | "symbol" | "limitPrice" | "stopPrice">} order
 */
export function describeOrder({ side, qty, symbol, limitPrice, stopPrice }) {
  const terms = limitPrice == null ? "at the market" : `at ${format.price(limitPrice)}`;
  const stop = stopPrice == null ? "" : `, stop ${format.price(stopPrice)}`;
  return `${side === "buy" ? "Buy" : "Sell"} ${format.quantity(qty)} ${symbol} ${terms}${stop}`;
}

/**
 * Describe the terms of an order: "limit 181.50, stop 175.00, day, reduce only".
 *
 * @param {Order} order
 */
function describeTerms({ limitPrice, stopPrice, timeInForce, reduceOnly }) {
  const terms = [limitPrice == null ? "market" : `limit ${format.price(limitPrice)}`];
  if (stopPrice != null) terms.push(`stop ${format.price(stopPrice)}`);
  if (timeInForce !== undefined) terms.push(timeInForce);
  if (reduceOnly) terms.push("reduce only");
  return terms.join(", ");
}

/**
 * @param {HTMLElement} panel
 * @param {(order: Order) => Promise<void>} onCancel  settles when the request is answered
 */
export function createOrdersTable(panel, onCancel) {
  const body = find("tbody", panel);
  /** The oldest first. @type {Map<string, Order>} */
  let orders = new Map();
  /** @type {Map<string, ReturnType<typeof createOrderRow>>} */
  const rows = new Map();
  let emptyText = "";
  let filter = "all";

  const draw = oncePerFrame(() => {
    const all = [...orders.values()];
    const open = all.filter(isOpen);
    const matching = filter === "open" ? open : all;
    const shown = matching.slice(-MAX_ROWS).reverse();
    drawRows(shown);
    setText(find("#count-all", panel), String(orders.size));
    setText(find("#count-open", panel), String(open.length));
    const noneText = orders.size > 0 ? "No open orders." : emptyText;
    setMessage(find(".empty", panel), shown.length > 0 ? "" : noneText);
    const isCut = matching.length > shown.length;
    const cutText = `${shown.length} newest of ${matching.length} shown.`;
    setMessage(find(".more", panel), isCut ? cutText : "");
  });

  /** @param {Order[]} shown */
  function drawRows(shown) {
    const shownIds = new Set(shown.map(({ orderId }) => orderId));
    for (const [id, row] of rows) {
      if (shownIds.has(id)) continue;
      row.element.remove();
      rows.delete(id);
    }
    shown.forEach((order, index) => {
      let row = rows.get(order.orderId);
      if (!row) {
        row = createOrderRow(order, () => onCancel(/** @type {Order} */ (orders.get(order.orderId))));
        rows.set(order.orderId, row);
      }
      row.show(order);
      const current = body.children[index];
      if (current !== row.element) body.insertBefore(row.element, current);
    });
  }

  find("#orders-filter", panel).addEventListener("change", (/** @type {any} */ event) => {
    filter = event.target.value;
    draw();
  });

  return {
    /** @param {Order[]} snapshot  all orders of the user */
    replace(snapshot) {
      const byTime = [...snapshot].sort((a, b) => a.timestamp.localeCompare(b.timestamp));
      const received = new Map(byTime.map((order) => [order.orderId, order]));
      // Orders in the table keep their rows: a snapshot after a reset moves nothing.
      const keptIds = [...orders.keys()].filter((id) => received.has(id));
      const addedIds = [...received.keys()].filter((id) => !orders.has(id));
      const ids = [...keptIds, ...addedIds];
      orders = new Map(ids.map((id) => [id, /** @type {Order} */ (received.get(id))]));
      draw();
    },
    /** @param {Order} order  its current state */
    apply(order) {
      orders.set(order.orderId, order);
      draw();
    },
    /** @param {Order} order  from a response, which may be older than the state from the stream */
    addIfUnknown(order) {
      if (!orders.has(order.orderId)) this.apply(order);
    },
    /** @param {string} text  the text that an empty table shows */
    clear(text) {
      orders = new Map();
      emptyText = text;
      draw();
    },
    /** @param {string} text  the text that an empty table shows */
    setEmptyText(text) {
      emptyText = text;
      draw();
    },
  };
}

/**
 * @param {Order} initial
 * @param {() => Promise<void>} cancel
 */
function createOrderRow(initial, cancel) {
  const status = createElement("span", { class: "chip" });
  const reason = createElement("span", { class: "reason" });
  const filled = createElement("span", { class: "filled-words" });
  const bar = createElement("span", { class: "fill-bar", "aria-hidden": "true" });
  const average = createElement("td", { role: "cell", class: "num average", "data-label": "Avg price" });
  const when = createElement("time");
  const button = createElement("button", { type: "button", class: "quiet cancel" }, "Cancel");
  button.setAttribute("aria-label", `Cancel: ${describeOrder(initial)}`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    await cancel();
    button.disabled = false;
  });
  const element = createElement(
    "tr",
    { role: "row", "data-order-id": initial.orderId, "data-client-order-id": initial.clientOrderId },
    createElement("th", { role: "rowheader", scope: "row", class: "what" }, ...orderDescription(initial)),
    createElement("td", { role: "cell", class: "state" }, status, reason),
    createElement("td", { role: "cell", class: "num fill", "data-label": "Filled" }, filled, bar),
    average,
    createElement("td", { role: "cell", class: "num when" }, when),
    createElement("td", { role: "cell", class: "act" }, button),
  );

  return {
    element,
    /** @param {Order} order */
    show(order) {
      element.dataset.status = order.status;
      element.dataset.dealt = order.filledQty > 0 ? "yes" : "no";
      setText(find(".terms", element), describeTerms(order));
      setText(status, STATUS_LABELS[order.status] ?? order.status);
      setMessage(reason, order.reason ?? describeWaiting(order));
      setText(filled, `${format.quantity(order.filledQty)} / ${format.quantity(order.qty)}`);
      bar.style.setProperty("--filled", String(order.qty ? order.filledQty / order.qty : 0));
      setText(average, format.averagePrice(order.filledAvgPrice));
      setText(when, format.time(order.timestamp));
      when.dateTime = order.timestamp;
      when.title = format.fullTime(order.timestamp);
      button.hidden = !isOpen(order);
    },
  };
}

/** @param {Order} order */
function orderDescription(order) {
  const { side, symbol } = order;
  return [
    createElement("span", { class: "side", "data-side": side }, side === "buy" ? "Buy" : "Sell"),
    " ",
    createElement("span", { class: "symbol" }, symbol),
    " ",
    createElement("span", { class: "terms" }, describeTerms(order)),
  ];
}
