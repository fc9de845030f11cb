/**
 * Toasts for fills. The first fill is shown at once; those that follow within `WINDOW_MS` are
 * summed up in one toast.
 */

import * as format from "./format.js";
import { showToast } from "./toasts.js";

const WINDOW_MS = 1_500;

/** @returns {(fill: any) => void}  receives the data of an `order:fill` event */
export function createFillNotifier() {
  /** Fills of the current window without a toast; null outside a window. @type {number | null} */
  let pendingFills = null;

  return ({ side, symbol, fillQty, fillPrice }) => {
    if (pendingFills !== null) {
      pendingFills += 1;
      return;
    }
    pendingFills = 0;
    const verb = side === "buy" ? "Bought" : "Sold";
    showToast(`${verb} ${format.quantity(fillQty)} ${symbol} at ${format.price(fillPrice)}`, "good");
    setTimeout(() => {
      if (pendingFills) showToast(`${pendingFills} more ${pendingFills === 1 ? "fill" : "fills"}`, "good");
      pendingFills = null;
    }, WINDOW_MS);
  };
}
