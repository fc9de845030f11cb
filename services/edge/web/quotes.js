/**
 * The table of quotes: newest wins, drawn once a frame, flashing where a price moved.
 */

import { everyFrame, find, make, write } from "./dom.js";
import * as format from "./format.js";

/**
 * @typedef {object} Quote
 * @property {string} symbol
 * @property {number} price
 * @property {number} bid
 * @property {number} ask
 * @property {number} volume
 * @property {number} change
 * @property {number} changePercent
 * @property {string} timestamp
 */

/** @typedef {"symbol" | "price" | "change" | "changePercent" | "volume"} SortKey */

/** Rows sorted by something that moves change places at most this often, in milliseconds. */
const RESORT_MS = 1_000;
const FLASH_MS = 900;

/** @type {[keyof Quote, string, (value: unknown) => string][]} */
const CELLS = [
  ["price", "Price", format.price],
  ["bid", "Bid", format.price],
  ["ask", "Ask", format.price],
  ["change", "Change", format.change],
  ["changePercent", "Change %", format.percent],
  ["volume", "Volume", format.quantity],
];

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * @param {HTMLElement} panel
 * @param {{onPick: (symbol: string) => void, onChange: (symbol: string) => void}} listeners
 *   `onPick`: somebody chose the symbol; `onChange`: its quote is another one now
 */
export function quotesTable(panel, { onPick, onChange }) {
  const body = find("tbody", panel);
  const empty = find(".empty", panel);
  /** @type {Map<string, Quote>} */ const quotes = new Map();
  /** @type {Map<string, ReturnType<typeof quoteRow>>} */ const rows = new Map();
  /** @type {Set<string>} */ const dirty = new Set();
  const sorting = { key: /** @type {SortKey} */ ("symbol"), sign: 1, at: 0 };

  const draw = everyFrame(() => {
    for (const symbol of dirty) {
      const quote = quotes.get(symbol);
      let row = rows.get(symbol);
      if (!quote) {
        row?.element.remove();
        rows.delete(symbol);
        continue;
      }
      if (!row) {
        row = quoteRow(symbol, onPick);
        rows.set(symbol, row);
        sorting.at = 0;
      }
      row.show(quote);
      onChange(symbol);
    }
    dirty.clear();
    empty.hidden = rows.size > 0;
    sortRows();
  });

  function sortRows() {
    if (sorting.at && (sorting.key === "symbol" || !mayMove())) return;
    sorting.at = performance.now();
    const sorted = [...quotes.values()].sort((a, b) => compare(a, b, sorting));
    sorted.forEach(({ symbol }, at) => {
      const element = rows.get(symbol)?.element;
      if (element && body.children[at] !== element) body.insertBefore(element, body.children[at]);
    });
  }

  /** Rows never move under a pointer or away from the keyboard. */
  function mayMove() {
    const inUse = body.matches(":hover") || body.contains(document.activeElement);
    return !inUse && performance.now() - sorting.at >= RESORT_MS;
  }

  /** @param {HTMLButtonElement} button */
  function sortBy(button) {
    const key = /** @type {SortKey} */ (button.dataset.sort);
    const natural = key === "symbol" ? 1 : -1;
    sorting.sign = sorting.key === key ? -sorting.sign : natural;
    sorting.key = key;
    sorting.at = 0;
    for (const header of panel.querySelectorAll("th")) header.removeAttribute("aria-sort");
    const direction = sorting.sign > 0 ? "ascending" : "descending";
    button.closest("th")?.setAttribute("aria-sort", direction);
    sortRows();
  }

  for (const button of panel.querySelectorAll("button[data-sort]")) {
    button.addEventListener("click", () => sortBy(/** @type {HTMLButtonElement} */ (button)));
  }

  /** @param {Quote} quote */
  function take(quote) {
    quotes.set(quote.symbol, quote);
    dirty.add(quote.symbol);
  }

  return {
    /** @param {any} data  of a `price:update`: one quote, or several as `prices` */
    apply(data) {
      const several = /** @type {Quote[]} */ (data.prices ?? [data]);
      if (data.initializing) {
        const named = new Set(several.map(({ symbol }) => symbol));
        for (const symbol of quotes.keys()) {
          if (named.has(symbol)) continue;
          quotes.delete(symbol);
          dirty.add(symbol);
        }
      }
      several.forEach(take);
      draw();
    },
    /** @param {string} symbol */
    quote: (symbol) => quotes.get(symbol),
    symbols: () => [...quotes.keys()].sort(),
  };
}

/**
 * @param {Quote} a
 * @param {Quote} b
 * @param {{key: SortKey, sign: number}} sorting
 */
function compare(a, b, { key, sign }) {
  const by =
    key === "symbol" ? a.symbol.localeCompare(b.symbol) : (a[key] ?? 0) - (b[key] ?? 0);
  return by === 0 ? a.symbol.localeCompare(b.symbol) : by * sign;
}

/**
 * @param {string} symbol
 * @param {(symbol: string) => void} onPick
 */
function quoteRow(symbol, onPick) {
  const pick = make("button", { type: "button", class: "pick", title: `Trade ${symbol}` }, symbol);
  pick.addEventListener("click", () => onPick(symbol));
  const cells = CELLS.map(([key, label]) =>
    make("td", { role: "cell", class: `num ${key}`, "data-label": label }),
  );
  const head = make("th", { role: "rowheader", scope: "row" }, pick);
  const element = make("tr", { role: "row", "data-symbol": symbol }, head, ...cells);
  /** @type {Quote | null} */
  let shown = null;

  return {
    element,
    /** @param {Quote} quote */
    show(quote) {
      CELLS.forEach(([key, , text], at) => write(cells[at], text(quote[key])));
      element.dataset.day = direction(quote.change);
      if (shown && quote.price !== shown.price) {
        element.dataset.moved = direction(quote.price - shown.price);
        flash(cells[0], element.dataset.moved);
      }
      shown = quote;
    },
  };
}

/** @param {number} by */
function direction(by) {
  if (by === 0) return "level";
  return by > 0 ? "up" : "down";
}

/**
 * @param {Element} cell
 * @param {string} way  "up" or "down"
 */
function flash(cell, way) {
  if (calm.matches) return;
  const from = { backgroundColor: `var(--${way}-wash)` };
  cell.animate([from, { backgroundColor: "transparent" }], { duration: FLASH_MS, easing: "ease-out" });
}
