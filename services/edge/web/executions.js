/** The list of the latest executions, the newest first. */

import { createElement, find, oncePerFrame } from "./dom.js";
import * as format from "./format.js";

const MAX_ROWS = 50;

/**
 * @typedef {object} Trade
 * @property {string} tradeId
 * @property {string} orderId
 * @property {string} symbol
 * @property {"buy" | "sell"} side
 * @property {number} qty
 * @property {number} price
 * @property {string} timestamp
 * @property {{ qty: number, price: number } | undefined} before  what a correction replaces
 */

/** @param {HTMLElement} panel */
export function createExecutionsList(panel) {
  const list = find("ol", panel);
  /** Trades without a row yet, the oldest first. @type {Trade[]} */
  let pending = [];

  const draw = oncePerFrame(() => {
    list.prepend(...pending.map(executionRow).reverse());
    pending = [];
    while (list.children.length > MAX_ROWS) list.lastElementChild.remove();
    find(".empty", panel).hidden = list.children.length > 0;
  });

  return {
    /** @param {Trade} trade */
    add(trade) {
      pending = [...pending.slice(1 - MAX_ROWS), trade];
      draw();
    },
    clear() {
      pending = [];
      list.replaceChildren();
      draw();
    },
  };
}

/** @param {Trade} trade */
function executionRow({ tradeId, side, qty, symbol, price, timestamp, before }) {
  const when = createElement("time", { datetime: timestamp, title: format.fullTime(timestamp) });
  when.textContent = format.time(timestamp);
  let what = side === "buy" ? "Bought" : "Sold";
  if (before !== undefined) what = qty === 0 ? "Busted" : "Corrected";
  return createElement(
    "li",
    { "data-trade-id": tradeId },
    createElement("span", { class: "side", "data-side": side }, what),
    createElement("span", { class: "dealt" }, `${format.quantity(qty || before?.qty || qty)} ${symbol}`),
    createElement("span", { class: "at num" }, format.price(price)),
    when,
  );
}
