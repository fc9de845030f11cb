/** The order ticket: what to trade, what it will cost, and what the server says to it. */

import { ApiError } from "/client/tapewire.js";

import { find, make, write } from "./dom.js";
import * as format from "./format.js";
import { clearErrors, reasonOf, showError } from "./forms.js";
import { inWords } from "./orders.js";
import { orderPlacer } from "./placing.js";

/** @typedef {import("./quotes.js").Quote} Quote */

/**
 * @param {HTMLElement} panel
 * @param {{quote: (symbol: string) => Quote | undefined,
 *          onPlaced: (order: import("./orders.js").Order) => void}} desk
 */
export function orderTicket(panel, { quote, onPlaced }) {
  const form = find("form", panel);
  const fields = form.elements;
  const note = find(".form-note", form);
  const place = orderPlacer();

  function refresh() {
    const limit = fields.type.value === "limit";
    const selling = fields.side.value === "sell";
    const symbol = fields.symbol.value;
    find("#limit-field", form).hidden = !limit;
    panel.dataset.side = fields.side.value;
    write(find("#place", form), `${selling ? "Sell" : "Buy"} ${symbol}`.trim());
    const market = quote(symbol);
    write(find("#touch", form), market ? touch(market) : "");
    write(find("#estimate-label", form), selling ? "Estimated proceeds" : "Estimated cost");
    const at = limit ? format.typedNumber(fields.limitPrice.value) : touchFor(market, selling);
    const qty = format.typedNumber(fields.qty.value);
    const worth = at && qty && qty > 0 ? at * qty : null;
    write(find("#estimate", form), format.money(worth));
  }

  function suggestLimit() {
    const market = quote(fields.symbol.value);
    if (fields.type.value !== "limit" || fields.limitPrice.value !== "" || !market) return;
    fields.limitPrice.value = String(touchFor(market, fields.side.value === "sell"));
  }

  async function submit() {
    clearErrors(form);
    write(note, "");
    const wish = read(form);
    if (!wish) return;
    const all = find("#ticket-fields", form);
    all.disabled = true;
    write(note, "Sending…");
    try {
      const order = await place(wish, (tries) => write(note, `Not through yet; trying again (${tries})…`));
      write(note, `Placed: ${inWords(order)}.`);
      onPlaced(order);
      all.disabled = false;
      find("#place", form).focus();
    } catch (error) {
      write(note, "");
      all.disabled = false;
      showError(form, error instanceof ApiError ? error.field : undefined, reasonOf(error));
    }
  }

  form.addEventListener("input", (/** @type {Event} */ event) => {
    const { name } = /** @type {HTMLInputElement} */ (event.target);
    if (name === "symbol") fields.limitPrice.value = "";
    if (name === "type" || name === "symbol") suggestLimit();
    refresh();
  });
  form.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    void submit();
  });
  refresh();

  return {
    /** @param {string[]} symbols  all that are known, sorted */
    offer(symbols) {
      const select = fields.symbol;
      const offered = [...select.options].map(({ value }) => value);
      if (offered.join() === symbols.join()) return;
      const chosen = select.value;
      select.replaceChildren(...symbols.map((symbol) => make("option", { value: symbol }, symbol)));
      if (symbols.includes(chosen)) select.value = chosen;
      refresh();
    },
    /** @param {string} symbol */
    pick(symbol) {
      if (panel.hidden) return;
      if (fields.symbol.value !== symbol) fields.limitPrice.value = "";
      fields.symbol.value = symbol;
      suggestLimit();
      refresh();
      fields.qty.focus();
      fields.qty.select();
    },
    /** @param {string} symbol  whose quote is another one now */
    quoteChanged(symbol) {
      if (symbol === fields.symbol.value) refresh();
    },
    /** @param {boolean} shown */
    show(shown) {
      panel.hidden = !shown;
      if (!shown) {
        clearErrors(form);
        write(note, "");
      }
    },
  };
}

/** @param {Quote} quote */
function touch({ bid, ask }) {
  return `Bid ${format.price(bid)} · Ask ${format.price(ask)}`;
}

/**
 * The price that an order at the market meets.
 *
 * @param {Quote | undefined} quote
 * @param {boolean} selling
 */
function touchFor(quote, selling) {
  return (selling ? quote?.bid : quote?.ask) ?? null;
}

/**
 * What the form asks for. Whether it makes sense is for the server to say; here only what is no
 * number at all is refused, for it cannot be sent as one.
 *
 * @param {HTMLFormElement} form
 * @returns {import("./placing.js").Wish | null}  null: an error is shown
 */
function read(form) {
  const fields = /** @type {any} */ (form.elements);
  /** @type {any} */
  const wish = { symbol: fields.symbol.value, side: fields.side.value, type: fields.type.value };
  const numbers = [["qty", "Enter a number of shares, like 100."]];
  if (wish.type === "limit") numbers.push(["limitPrice", "Enter a price in dollars, like 181.50."]);
  if (!wish.symbol) {
    showError(form, "symbol", "No symbol is known yet: wait for the first prices.");
    return null;
  }
  for (const [name, advice] of numbers) {
    const value = format.typedNumber(fields[name].value);
    if (value === null) {
      showError(form, name, advice);
      return null;
    }
    wish[name] = value;
  }
  return wish;
}
