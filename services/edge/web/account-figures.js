/**
 * The line with the account: equity, cash and, where it is limited, buying power.
 *
 * It says when the figures are not live: a price is missing or old, or the stream stands still.
 */

import { setText } from "./dom.js";
import { money } from "./format.js";

/** @typedef {import("/client/tapewire.js").State} State */
/** @typedef {{equity: number, cash: number, buyingPower: number | null, stale: boolean}} Figures */

/** @param {HTMLElement} line */
export function createAccountFigures(line) {
  /** @type {Figures | null} */
  let figures = null;
  let isLive = false;

  function show() {
    line.hidden = figures === null;
    if (figures === null) return;
    const parts = [`Equity ${money(figures.equity)}`, `Cash ${money(figures.cash)}`];
    if (figures.buyingPower !== null) parts.push(`Buying power ${money(figures.buyingPower)}`);
    const isStale = figures.stale || !isLive;
    line.classList.toggle("stale", isStale);
    setText(line, (isStale ? "Not live: " : "") + parts.join(" · "));
  }

  return {
    /** @param {Figures} data  an `account:update` */
    apply(data) {
      figures = data;
      show();
    },

    /** @param {State} state  of the stream that the figures are from */
    streamChanged(state) {
      isLive = state.name === "live" && !state.isSilent;
      show();
    },

    clear() {
      figures = null;
      show();
    },
  };
}
