/**
 * The trading page, served at `/`: quotes, orders, executions and the order ticket.
 *
 * This module connects the parts. Quotes need no session: their stream opens with the page. Signing
 * in opens the trading stream, which starts with a snapshot of the user's orders and continues with
 * live updates. The client in /client/ keeps both streams connected. Start reading at the end.
 */

import { call, connect } from "/client/tapewire.js";

import { find, setText } from "./dom.js";
import { createExecutionsList } from "./executions.js";
import { createFillNotifier } from "./fill-toasts.js";
import { errorMessage } from "./form-errors.js";
import { time } from "./format.js";
import { createNotificationCenter } from "./notifications.js";
import { createOrderTicket } from "./order-ticket.js";
import { createOrdersTable, describeOrder } from "./orders.js";
import { createQuotesTable } from "./quotes.js";
import { bindSignInForm, bindSignOutButton, fetchSession } from "./session.js";
import { createStreamStatus } from "./stream-status.js";
import { showToast } from "./toasts.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("/client/tapewire.js").Connection} Connection */
/** @typedef {import("/client/tapewire.js").State} State */

const SIGNED_OUT_ORDERS = "Sign in to see your orders.";
/**
 * The price stream of a hidden tab closes after this time, because browsers allow six connections
 * to a server in total.
 */
const PAUSE_WHEN_HIDDEN_MS = 20_000;
const SESSION_RETRY_MS = 3_000;
/** Two streams rejected within this time end the session, even if the session request succeeds. */
const SESSION_LOSS_WINDOW_MS = 5_000;

const showPricesState = createStreamStatus("#prices-state");
const showTradingState = createStreamStatus("#trading-state");
const notifyFill = createFillNotifier();

const notifications = createNotificationCenter({
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
const executions = createExecutionsList(find("#executions"));
const ticket = createOrderTicket(find("#ticket"), {
  quote: (symbol) => quotes.quote(symbol),
  onPlaced: (order) => orders.addIfUnknown(order),
});
const signIn = bindSignInForm(find("#sign-in"), (session) => {
  showSignedIn(session);
  find("#symbol").focus();
});

/** @type {Connection | null} */
let prices = null;
/** @type {Connection | null} */
let trading = null;
/** The user whose orders the page shows; "" for none. */
let shownUserId = "";
let lastSessionLossAt = -Infinity;

/** @param {import("./orders.js").Order} order */
async function cancelOrder(order) {
  try {
    await call("DELETE", `/api/orders/${encodeURIComponent(order.orderId)}`);
  } catch (error) {
    showToast(`Not canceled: ${describeOrder(order)}. ${errorMessage(error)}`, "bad");
  }
}

function openPrices() {
  if (prices) return;
  let lastPriceAt = "";
  prices = connect("/api/stream/prices", {
    onEvent({ type, data }) {
      if (type !== "price:update") return;
      lastPriceAt = data.timestamp ?? lastPriceAt;
      quotes.apply(data);
    },
    onState(state) {
      if (prices === null) return; // `pausePrices` shows its own state
      showPricesState(state);
      const isStale = state.name !== "live" && lastPriceAt !== "";
      find("#quotes").classList.toggle("stale", isStale);
      setText(find("#quotes-note"), isStale ? `Not live: last price at ${time(lastPriceAt)}` : "");
    },
  });
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
    if (data.status === "canceled") showToast(`Canceled: ${describeOrder(data)}`);
    if (data.status === "rejected" || data.status === "failed") {
      showToast(`Order ${data.status}: ${describeOrder(data)}. ${data.reason ?? ""}`, "bad");
    }
  },
  "order:fill"(data) {
    orders.apply(data);
    notifyFill(data);
  },
  "trade:new": executions.add,
  "stream:reset": () => showToast("Your orders were reloaded: the server could not resume the stream."),
  "connection:limit": () =>
    showToast("Too many tabs are open. This tab has stopped; reload it to continue.", "bad"),
};

function openTrading() {
  trading?.close();
  const stream = connect("/api/stream/trading", {
    onEvent: ({ type, data }) => tradingEventHandlers[type]?.(data),
    onState(state) {
      if (trading !== stream && state.name === "closed") return; // replaced by a newer connection
      showTradingState(state);
      if (state.name === "signed-out") void handleSessionLoss(stream);
    },
  });
  trading = stream;
}

/** @param {Session} session */
function showSignedIn(session) {
  if (session.userId !== shownUserId) {
    orders.clear("Loading your orders…");
    executions.clear();
    shownUserId = session.userId;
  }
  setText(find("#user"), session.userId);
  find("#account").hidden = false;
  signIn.hide();
  ticket.show(true);
  openTrading();
  notifications.open(session.userId);
}

/** @param {string} reason  shown above the sign-in form; "" for none */
function showSignedOut(reason) {
  const stream = trading;
  trading = null;
  stream?.close();
  showTradingState({ name: "signed-out", reason });
  orders.clear(SIGNED_OUT_ORDERS);
  executions.clear();
  shownUserId = "";
  find("#account").hidden = true;
  ticket.show(false);
  notifications.close();
  signIn.show(reason);
}

/**
 * Handle a stream whose session has ended. Continue with the browser's current session if there is
 * one: another tab may have signed in again.
 *
 * @param {Connection} stream
 */
async function handleSessionLoss(stream) {
  const isRepeated = performance.now() - lastSessionLossAt < SESSION_LOSS_WINDOW_MS;
  lastSessionLossAt = performance.now();
  const session = isRepeated ? null : await fetchSession().catch(() => null);
  if (trading !== stream) return; // the user signed out in the meantime
  if (session) showSignedIn(session);
  else showSignedOut("Your session has ended. Sign in again.");
}

/** Load the session, and retry until the server answers. */
async function restoreSession() {
  for (;;) {
    try {
      const session = await fetchSession();
      if (session) showSignedIn(session);
      else showSignedOut("");
      return;
    } catch (error) {
      const reason = errorMessage(error);
      showTradingState({ name: "reconnecting", retryInMs: SESSION_RETRY_MS, tries: 1, reason });
      await new Promise((resolve) => setTimeout(resolve, SESSION_RETRY_MS));
    }
  }
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let hideTimer;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hideTimer);
  if (document.visibilityState === "hidden") hideTimer = setTimeout(pausePrices, PAUSE_WHEN_HIDDEN_MS);
  else openPrices();
});

bindSignOutButton(() => showSignedOut(""));

openPrices();
void restoreSession();
