/**
 * The trading page, served at `/`: quotes, orders, executions and the order ticket.
 *
 * This module connects the parts. Quotes need no session: their stream opens with the page, and goes
 * on whoever signs in or out. Signing in opens the trading stream, which starts with a snapshot of the
 * user's orders and continues with live updates. The client in /client/ keeps both streams connected,
 * and `account.js` says which user the page shows. Start reading at the end.
 */

import { connect } from "/client/tapewire.js";

import { createAccount } from "./account.js";
import { createAccountFigures } from "./account-figures.js";
import { find, setText } from "./dom.js";
import { createExecutionsList } from "./executions.js";
import { createFillNotifier } from "./fill-toasts.js";
import { errorMessage } from "./form-errors.js";
import { time } from "./format.js";
import { createNotificationCenter } from "./notifications.js";
import { createOrderTicket } from "./order-ticket.js";
import { createOrdersTable, describeOrder } from "./orders.js";
import { createQuotesTable } from "./quotes.js";
import { createStreamStatus } from "./stream-status.js";
import { showToast } from "./toasts.js";

/** @typedef {import("/client/tapewire.js").Connection} Connection */
/** @typedef {import("/client/tapewire.js").State} State */

const SIGNED_OUT_ORDERS = "Sign in to see your orders.";
/**
 * The price stream of a hidden tab closes after this time, because browsers allow six connections
 * to a server in total.
 */
const PAUSE_WHEN_HIDDEN_MS = 20_000;
/** The time that is announced until the server is asked again who is signed in. */
const SESSION_RETRY_MS = 3_000;

const showPricesState = createStreamStatus("#prices-state");
const showTradingState = createStreamStatus("#trading-state");
const notifyFill = createFillNotifier();

const account = createAccount(find("#sign-in"), {
  onSignedIn: showSignedIn,
  onSignedOut: showSignedOut,
  onUnreachable: (reason) =>
    showTradingState({ name: "reconnecting", retryInMs: SESSION_RETRY_MS, tries: 1, reason }),
});
const notifications = createNotificationCenter(account, {
  // The trading stream already reports changes of orders on this page.
  isHandledByPage: (type) => type.startsWith("order_") && trading?.state.name === "live",
});

const quotes = createQuotesTable(find("#quotes"), {
  onPick: (symbol) => ticket.pick(symbol),
  onChange: (symbol) => {
    ticket.setSymbols(quotes.symbols());
    ticket.quoteChanged(symbol);
  },
});
const orders = createOrdersTable(find("#orders"), cancelOrder);
const accountFigures = createAccountFigures(find("#account-figures"));
const executions = createExecutionsList(find("#executions"));
const ticket = createOrderTicket(find("#ticket"), account, {
  quote: (symbol) => quotes.quote(symbol),
  isLive: () => arePricesLive,
  onPlaced: (order) => orders.addIfUnknown(order),
});

/** @type {Connection | null} */
let prices = null;
/** Whether the stream of quotes is open, and not silent. The server says which quotes are stale. */
let arePricesLive = false;
/** @type {Connection | null} */
let trading = null;
/** The user whose orders the page shows; "" for none. */
let shownUserId = "";

/** @param {import("./orders.js").Order} order */
async function cancelOrder(order) {
  try {
    await account.call("DELETE", `/api/orders/${encodeURIComponent(order.orderId)}`);
  } catch (error) {
    showToast(`Not canceled: ${describeOrder(order)}. ${errorMessage(error)}`, "bad");
  }
}

function openPrices() {
  if (prices) return;
  let lastPriceAt = "";
  let shownName = "";
  prices = connect("/api/stream/prices", {
    onEvent({ type, data }) {
      if (type !== "price:update" && type !== "price:stale") return;
      // The last one that arrived: what another one was dated with says nothing about it.
      /** @type {{timestamp: string}[]} */
      const arrived = data.prices ?? [data];
      lastPriceAt = arrived.map(({ timestamp }) => timestamp).sort().at(-1) ?? lastPriceAt;
      quotes.apply(data);
      if (prices) showFreshness(prices.state);
    },
    onState: (state) => {
      if (prices) showFreshness(state); // `pausePrices` shows its own state
    },
  });

  /** @param {State} state */
  function showFreshness(state) {
    const wasLive = arePricesLive;
    arePricesLive = state.name === "live" && !state.isSilent;
    const isStale = lastPriceAt !== "" && (!arePricesLive || quotes.isAllStale());
    const shownState = isStale && state.name === "live" ? { name: /** @type {const} */ ("stale") } : state;
    if (shownState.name !== "live" || shownName !== "live") showPricesState(shownState);
    shownName = shownState.name;
    find("#quotes").classList.toggle("stale", isStale);
    setText(find("#quotes-note"), isStale ? `Not live: last price at ${time(lastPriceAt)}` : "");
    if (wasLive !== arePricesLive) ticket.refresh();
  }
}

function pausePrices() {
  const stream = prices;
  prices = null;
  stream?.close();
  showPricesState({ name: "paused" });
}

/** @type {Record<string, (data: any) => void>} */
const tradingEventHandlers = {
  "order:update"(data) {
    if (data.snapshot) {
      orders.replace(data.orders);
      orders.setEmptyText("No orders yet. Place one with the ticket.");
      return;
    }
    orders.apply(data);
    ticket.orderChanged(data);
    if (data.status === "canceled") showToast(`Canceled: ${describeOrder(data)}`);
    if (data.status === "rejected" || data.status === "failed") {
      showToast(`Order ${data.status}: ${describeOrder(data)}. ${data.reason ?? ""}`, "bad");
    }
  },
  "order:fill"(data) {
    orders.apply(data);
    ticket.orderChanged(data);
    notifyFill(data);
  },
  "account:update": accountFigures.apply,
  "trade:new": executions.add,
  "trade:corrected"(data) {
    executions.add(data);
    const what = data.qty === 0 ? "busted" : "corrected";
    showToast(`The broker ${what} an execution of ${data.symbol}.`, "bad");
  },
  "stream:reset": () => showToast("Your orders were reloaded: the server could not resume the stream."),
  "connection:limit": () =>
    showToast("Too many tabs are open. This tab has stopped; reload it to continue.", "bad"),
};

/** @param {string} userId */
function openTrading(userId) {
  trading?.close();
  const stream = connect("/api/stream/trading", {
    user: userId,
    onEvent: ({ type, data }) => tradingEventHandlers[type]?.(data),
    onState(state) {
      if (trading !== stream && state.name === "closed") return; // replaced by a newer connection
      showTradingState(state);
      accountFigures.streamChanged(state);
      if (state.name === "signed-out") account.handleLostStream(userId);
    },
  });
  trading = stream;
}

/**
 * @param {string} userId
 * @param {boolean} isByForm
 */
function showSignedIn(userId, isByForm) {
  if (userId !== shownUserId) {
    orders.clear("Loading your orders…");
    executions.clear();
    accountFigures.clear();
    shownUserId = userId;
  }
  setText(find("#user"), userId);
  find("#account").hidden = false;
  ticket.show(userId);
  openTrading(userId);
  notifications.open(userId);
  if (isByForm) find("#symbol").focus();
}

function showSignedOut() {
  const stream = trading;
  trading = null;
  stream?.close();
  showTradingState({ name: "signed-out", reason: "" });
  orders.clear(SIGNED_OUT_ORDERS);
  executions.clear();
  accountFigures.clear();
  shownUserId = "";
  find("#account").hidden = true;
  ticket.show("");
  notifications.close();
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let hideTimer;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hideTimer);
  if (document.visibilityState === "hidden") hideTimer = setTimeout(pausePrices, PAUSE_WHEN_HIDDEN_MS);
  else openPrices();
});

openPrices();
