/** The order ticket: the order form, its estimated cost, and the outcome of a submission. */

import { ApiError } from "/client/tapewire.js";

import { createElement, find, setText } from "./dom.js";
import { clearErrors, errorMessage, showError } from "./form-errors.js";
import * as format from "./format.js";
import { createOrderSubmitter } from "./order-submission.js";
import { describeOrder, describeWaiting } from "./orders.js";
import { showToast } from "./toasts.js";

/** @typedef {import("./quotes.js").Quote} Quote */

/**
 * @param {HTMLElement} panel
 * @param {import("./account.js").Account} account
 * @param {object} callbacks
 * @param {(symbol: string) => Quote | undefined} callbacks.quote  gets the newest quote of a symbol
 * @param {() => boolean} callbacks.isLive  whether quotes arrive at all
 * @param {(order: import("./orders.js").Order) => void} callbacks.onPlaced
 */
export function createOrderTicket(panel, account, { quote, isLive, onPlaced }) {
  const form = find("form", panel);
  const fields = form.elements;
  const note = find(".form-note", form);
  const fieldset = find("#ticket-fields", form);
  const submitOrder = createOrderSubmitter(account);
  /** The user whose order the ticket holds. */
  let ownerId = "";
  /** The order that the note below the form is about; "" for none. */
  let placedId = "";

  function refresh() {
    const isLimit = fields.type.value === "limit";
    const isSell = fields.side.value === "sell";
    const symbol = fields.symbol.value;
    find("#limit-field", form).hidden = !isLimit;
    panel.dataset.side = fields.side.value;
    setText(find("#place", form), `${isSell ? "Sell" : "Buy"} ${symbol}`.trim());
    const market = quote(symbol);
    const isStale = market !== undefined && (market.stale === true || !isLive());
    find("#touch", form).classList.toggle("stale", isStale);
    setText(find("#touch", form), market ? formatBidAsk(market, isStale) : "");
    setText(find("#estimate-label", form), isSell ? "Estimated proceeds" : "Estimated cost");
    const price = isLimit ? format.parseNumber(fields.limitPrice.value) : marketPrice(market, isSell);
    const qty = format.parseNumber(fields.qty.value);
    const estimate = price !== null && qty && qty > 0 ? price * qty : null;
    setText(find("#estimate", form), format.money(estimate));
  }

  function suggestLimit() {
    const market = quote(fields.symbol.value);
    if (fields.type.value !== "limit" || fields.limitPrice.value !== "") return;
    const price = marketPrice(market, fields.side.value === "sell");
    if (price !== null && price > 0) fields.limitPrice.value = format.editable(price);
  }

  async function submit() {
    clearErrors(form);
    setText(note, "");
    placedId = "";
    const request = readForm(form);
    if (!request) return;
    const { userId } = account;
    const isShown = () => userId === account.userId;
    let isTried = false;
    fieldset.disabled = true;
    setText(note, "Sending…");
    try {
      const order = await submitOrder(userId, request, (attempts) => {
        isTried = true;
        if (isShown()) setText(note, `Not through yet; trying again (${attempts})…`);
      });
      if (!isShown()) return showToast(`Placed for ${userId}: ${describeOrder(order)}.`);
      setText(note, `Placed: ${describeOrder(order)}.`);
      placedId = order.orderId;
      onPlaced(order);
      fieldset.disabled = false;
      find("#place", form).focus();
    } catch (error) {
      if (!isShown() || (error instanceof ApiError && error.isAccountChanged)) {
        const outcome = isTried ? "It is not known whether this was placed for" : "Not placed for";
        const order = describeOrder({ limitPrice: null, ...request });
        showToast(`${outcome} ${userId}: ${order}. ${errorMessage(error)}`, "bad");
        if (!isShown()) return;
      }
      setText(note, "");
      fieldset.disabled = false;
      showError(form, error instanceof ApiError ? error.field : undefined, errorMessage(error));
    }
  }

  form.addEventListener("input", (/** @type {Event} */ event) => {
    const { name } = /** @type {HTMLInputElement} */ (event.target);
    if (name === "symbol") fields.limitPrice.value = fields.stopPrice.value = "";
    if (name === "type" || name === "symbol") suggestLimit();
    refresh();
  });
  form.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    void submit();
  });
  refresh();

  return {
    /** @param {string[]} symbols  all symbols with a quote, sorted */
    setSymbols(symbols) {
      const select = fields.symbol;
      const current = [...select.options].map(({ value }) => value);
      if (current.join() === symbols.join()) return;
      const selected = select.value;
      select.replaceChildren(...symbols.map((symbol) => createElement("option", { value: symbol }, symbol)));
      if (symbols.includes(selected)) select.value = selected;
      refresh();
    },
    /**
     * Select a symbol, and move the focus to the quantity.
     *
     * @param {string} symbol
     */
    pick(symbol) {
      if (panel.hidden) return;
      if (fields.symbol.value !== symbol) fields.limitPrice.value = "";
      fields.symbol.value = symbol;
      suggestLimit();
      refresh();
      fields.qty.focus();
      fields.qty.select();
    },
    refresh,
    /** @param {string} symbol  the symbol whose quote has changed */
    quoteChanged(symbol) {
      if (symbol === fields.symbol.value) refresh();
    },
    /** @param {import("./orders.js").Order} order  its current state */
    orderChanged(order) {
      if (order.orderId !== placedId) return;
      const waiting = describeWaiting(order);
      setText(note, `Placed: ${describeOrder(order)}.${waiting && ` ${waiting}.`}`);
    },
    /** @param {string} userId  the user who places orders; "" hides the ticket */
    show(userId) {
      panel.hidden = userId === "";
      if (userId === ownerId) return;
      clearErrors(form);
      setText(note, "");
      placedId = "";
      fieldset.disabled = false;
      if (userId === "") return;
      // What one user has filled in is not another one's order.
      if (ownerId !== "") form.reset();
      ownerId = userId;
      refresh();
    },
  };
}

/**
 * @param {Quote} quote
 * @param {boolean} isStale
 */
function formatBidAsk({ bid, ask, timestamp }, isStale) {
  const text = `Bid ${format.price(bid)} · Ask ${format.price(ask)}`;
  return isStale ? `Not live since ${format.timeOrDate(timestamp)}: ${text}` : text;
}

/**
 * Get the price at which a market order would fill.
 *
 * @param {Quote | undefined} quote
 * @param {boolean} isSell
 * @returns {number | null}  null without a quote
 */
function marketPrice(quote, isSell) {
  return (isSell ? quote?.bid : quote?.ask) ?? null;
}

/**
 * Read the order from the form. This rejects only what is not a number; the server validates the
 * order.
 *
 * @param {HTMLFormElement} form
 * @returns {import("./order-submission.js").OrderRequest | null}  null if an error is shown
 */
function readForm(form) {
  const fields = /** @type {any} */ (form.elements);
  /** @type {any} */
  const request = { symbol: fields.symbol.value, side: fields.side.value, type: fields.type.value };
  const numberFields = [["qty", "Enter a number of shares, like 100."]];
  if (request.type === "limit") numberFields.push(["limitPrice", "Enter a price in dollars, like 181.50."]);
  if (fields.stopPrice.value.trim() !== "") {
    numberFields.push(["stopPrice", "Enter a price in dollars, like 175, or nothing."]);
    request.type = request.type === "limit" ? "stop_limit" : "stop";
  }
  if (fields.timeInForce.value !== "gtc") request.timeInForce = fields.timeInForce.value;
  if (fields.reduceOnly.checked) request.reduceOnly = true;
  if (!request.symbol) {
    showError(form, "symbol", "No symbol is known yet: wait for the first prices.");
    return null;
  }
  for (const [name, message] of numberFields) {
    const value = format.parseNumber(fields[name].value);
    if (value === null) {
      showError(form, name, message);
      return null;
    }
    request[name] = value;
  }
  return request;
}
