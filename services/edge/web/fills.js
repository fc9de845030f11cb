/** Tells of fills without a flood: the first at once, those right after it as a number. */

import * as format from "./format.js";
import { notice } from "./notices.js";

const WINDOW_MS = 1_500;

/** @returns {(fill: any) => void}  takes the data of an `order:fill` */
export function fillTeller() {
  let untold = -1;

  return ({ side, symbol, fillQty, fillPrice }) => {
    if (untold >= 0) {
      untold += 1;
      return;
    }
    untold = 0;
    const done = side === "buy" ? "Bought" : "Sold";
    notice(`${done} ${format.quantity(fillQty)} ${symbol} at ${format.price(fillPrice)}`, "good");
    setTimeout(() => {
      if (untold > 0) notice(`${untold} more ${untold === 1 ? "fill" : "fills"}`, "good");
      untold = -1;
    }, WINDOW_MS);
  };
}
