/**
 * The table of quotes. It shows the newest quote of each symbol, draws once per frame and flashes
 * the cells of prices that changed.
 */

import { createElement, find, oncePerFrame, setText } from "./dom.js";
import * as format from "./format.js";

/**
 * @typedef {object} Quote
 * @property {string} symbol
 * @property {number} price
 * @property {number | null} bid  null when nobody offers to buy
 * @property {number | null} ask  null when nobody offers to sell
 * @property {number} volume
 * @property {number} change
 * @property {number} changePercent
 * @property {string} timestamp
 * @property {boolean=} stale  too old to rely on; absent while it is not
 * @property {number=} age  seconds since it was confirmed
 */

/** @typedef {"symbol" | "price" | "change" | "changePercent" | "volume"} SortKey */

/** The minimum time between two changes of the order of rows, while they are sorted by a live value. */
const RESORT_INTERVAL_MS = 1_000;
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

const prefersReducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * @param {HTMLElement} panel
 * @param {object} callbacks
 * @param {(symbol: string) => void} callbacks.onPick  called when the user selects a symbol
 * @param {(symbol: string) => void} callbacks.onChange  called when the quote of a symbol changes
 */
export function createQuotesTable(panel, { onPick, onChange }) {
  const body = find("tbody", panel);
  const empty = find(".empty", panel);
  /** @type {Map<string, Quote>} */ const quotes = new Map();
  /** @type {Map<string, ReturnType<typeof createQuoteRow>>} */ const rows = new Map();
  /** @type {Set<string>} */ const changedSymbols = new Set();
  /** `sortedAt` is in milliseconds of `performance.now()`; 0 sorts the rows with the next frame. */
  const sorting = { key: /** @type {SortKey} */ ("symbol"), sign: 1, sortedAt: 0 };

  const draw = oncePerFrame(() => {
    for (const symbol of changedSymbols) {
      const quote = quotes.get(symbol);
      let row = rows.get(symbol);
      if (!quote) {
        row?.element.remove();
        rows.delete(symbol);
        continue;
      }
      if (!row) {
        row = createQuoteRow(symbol, onPick);
        rows.set(symbol, row);
        sorting.sortedAt = 0;
      }
      row.show(quote);
      onChange(symbol);
    }
    changedSymbols.clear();
    empty.hidden = rows.size > 0;
    sortRows();
  });

  function sortRows() {
    if (sorting.sortedAt && (sorting.key === "symbol" || !canReorder())) return;
    sorting.sortedAt = performance.now();
    const sorted = [...quotes.values()].sort((a, b) => compare(a, b, sorting));
    sorted.forEach(({ symbol }, index) => {
      const element = rows.get(symbol)?.element;
      if (element && body.children[index] !== element) body.insertBefore(element, body.children[index]);
    });
  }

  /** Rows do not move while the pointer is over them or one of them has the focus. */
  function canReorder() {
    const isInUse = body.matches(":hover") || body.contains(document.activeElement);
    return !isInUse && performance.now() - sorting.sortedAt >= RESORT_INTERVAL_MS;
  }

  /** @param {HTMLButtonElement} button */
  function sortBy(button) {
    const key = /** @type {SortKey} */ (button.dataset.sort);
    const defaultSign = key === "symbol" ? 1 : -1;
    sorting.sign = sorting.key === key ? -sorting.sign : defaultSign;
    sorting.key = key;
    sorting.sortedAt = 0;
    for (const header of panel.querySelectorAll("th")) header.removeAttribute("aria-sort");
    const order = sorting.sign > 0 ? "ascending" : "descending";
    button.closest("th")?.setAttribute("aria-sort", order);
    sortRows();
  }

  for (const button of panel.querySelectorAll("button[data-sort]")) {
    button.addEventListener("click", () => sortBy(/** @type {HTMLButtonElement} */ (button)));
  }

  /** @param {Quote} quote */
  function storeQuote(quote) {
    quotes.set(quote.symbol, quote);
    changedSymbols.add(quote.symbol);
  }

  return {
    /** @param {any} data  of a `price:update` or `price:stale`: one quote, or several as `prices` */
    apply(data) {
      const received = /** @type {Quote[]} */ (data.prices ?? [data]);
      if (data.initializing) {
        const receivedSymbols = new Set(received.map(({ symbol }) => symbol));
        for (const symbol of quotes.keys()) {
          if (receivedSymbols.has(symbol)) continue;
          quotes.delete(symbol);
          changedSymbols.add(symbol);
        }
      }
      received.forEach(storeQuote);
      draw();
    },
    /** @param {string} symbol */
    quote: (symbol) => quotes.get(symbol),
    /** Whether there are quotes, and all of them are too old to rely on. */
    isAllStale: () => quotes.size > 0 && [...quotes.values()].every(({ stale }) => stale),
    symbols: () => [...quotes.keys()].sort(),
  };
}

/**
 * @param {Quote} a
 * @param {Quote} b
 * @param {{key: SortKey, sign: number}} sorting
 */
function compare(a, b, { key, sign }) {
  const difference =
    key === "symbol" ? a.symbol.localeCompare(b.symbol) : (a[key] ?? 0) - (b[key] ?? 0);
  return difference === 0 ? a.symbol.localeCompare(b.symbol) : difference * sign;
}

/**
 * @param {string} symbol
 * @param {(symbol: string) => void} onPick
 */
function createQuoteRow(symbol, onPick) {
  const pick = createElement("button", { type: "button", class: "pick", title: `Trade ${symbol}` }, symbol);
  pick.addEventListener("click", () => onPick(symbol));
  const cells = CELLS.map(([key, label]) =>
    createElement("td", { role: "cell", class: `num ${key}`, "data-label": label }),
  );
  const head = createElement("th", { role: "rowheader", scope: "row" }, pick);
  const element = createElement("tr", { role: "row", "data-symbol": symbol }, head, ...cells);
  /** @type {Quote | null} */
  let shownQuote = null;

  return {
    element,
    /** @param {Quote} quote */
    show(quote) {
      CELLS.forEach(([key, , formatValue], index) => setText(cells[index], formatValue(quote[key])));
      element.dataset.day = directionOf(quote.change);
      element.classList.toggle("stale", quote.stale === true);
      element.title = quote.stale ? `Not live: last price at ${format.timeOrDate(quote.timestamp)}` : "";
      if (shownQuote && quote.price !== shownQuote.price) {
        element.dataset.moved = directionOf(quote.price - shownQuote.price);
        flash(cells[0], element.dataset.moved);
      }
      shownQuote = quote;
    },
  };
}

/** @param {number} difference */
function directionOf(difference) {
  if (difference === 0) return "level";
  return difference > 0 ? "up" : "down";
}

/**
 * @param {Element} cell
 * @param {string} direction  "up" or "down"
 */
function flash(cell, direction) {
  if (prefersReducedMotion.matches) return;
  const from = { backgroundColor: `var(--${direction}-wash)` };
  cell.animate([from, { backgroundColor: "transparent" }], { duration: FLASH_MS, easing: "ease-out" });
}
