/** The latest executions, newest first. */

import { everyFrame, find, make } from "./dom.js";
import * as format from "./format.js";

const SHOWN_AT_MOST = 50;

/**
 * @typedef {object} Trade
 * @property {string} tradeId
 * @property {string} orderId
 * @property {string} symbol
 * @property {"buy" | "sell"} side
 * @property {number} qty
 * @property {number} price
 * @property {string} timestamp
 */

/** @param {HTMLElement} panel */
export function executionsList(panel) {
  const list = find("ol", panel);
  /** Not drawn yet, oldest first. @type {Trade[]} */
  let waiting = [];

  const draw = everyFrame(() => {
    list.prepend(...waiting.map(line).reverse());
    waiting = [];
    while (list.children.length > SHOWN_AT_MOST) list.lastElementChild.remove();
    find(".empty", panel).hidden = list.children.length > 0;
  });

  return {
    /** @param {Trade} trade */
    add(trade) {
      waiting = [...waiting.slice(1 - SHOWN_AT_MOST), trade];
      draw();
    },
    clear() {
      waiting = [];
      list.replaceChildren();
      draw();
    },
  };
}

/** @param {Trade} trade */
function line({ tradeId, side, qty, symbol, price, timestamp }) {
  const when = make("time", { datetime: timestamp, title: format.fullTime(timestamp) });
  when.textContent = format.time(timestamp);
  return make(
    "li",
    { "data-trade-id": tradeId },
    make("span", { class: "side", "data-side": side }, side === "buy" ? "Bought" : "Sold"),
    make("span", { class: "dealt" }, `${format.quantity(qty)} ${symbol}`),
    make("span", { class: "at num" }, format.price(price)),
    when,
  );
}
