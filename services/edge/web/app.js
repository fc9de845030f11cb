/**
 * The page at `/`: two streams in, orders out. This module only connects the parts.
 *
 * Prices need no session and are live from the start. Signing in opens the trading stream, which
 * begins with a snapshot of the orders and goes on from there; the client in /client/ keeps both
 * streams open. Start reading at the end.
 */

import { call, connect } from "/client/tapewire.js";

import { notificationBell } from "./bell.js";
import { find, write } from "./dom.js";
import { executionsList } from "./executions.js";
import { fillTeller } from "./fills.js";
import { time } from "./format.js";
import { reasonOf } from "./forms.js";
import { notice } from "./notices.js";
import { inWords, ordersTable } from "./orders.js";
import { quotesTable } from "./quotes.js";
import { currentSession, signInForm, signOutButton } from "./session.js";
import { stateLine } from "./status.js";
import { orderTicket } from "./ticket.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("/client/tapewire.js").Connection} Connection */
/** @typedef {import("/client/tapewire.js").State} State */

const SIGNED_OUT_ORDERS = "Sign in to see your orders.";
/** How long a hidden tab keeps its prices: browsers allow six connections to a server in all. */
const HIDDEN_MS = 20_000;
const SESSION_RETRY_MS = 3_000;
/** A session that is good for calls but twice not for the stream within this time counts as lost. */
const LOSS_PAUSE_MS = 5_000;

const showPricesState = stateLine("#prices-state");
const showTradingState = stateLine("#trading-state");
const tellFill = fillTeller();

// What becomes of orders, the trading stream tells already.
const bell = notificationBell({
  quiet: (type) => type.startsWith("order_") && trading?.state.name === "live",
});

const quotes = quotesTable(find("#quotes"), {
  onPick: (symbol) => ticket.pick(symbol),
  onChange: (symbol) => {
    ticket.offer(quotes.symbols());
    ticket.quoteChanged(symbol);
  },
});
const orders = ordersTable(find("#orders"), cancel);
const executions = executionsList(find("#executions"));
const ticket = orderTicket(find("#ticket"), {
  quote: (symbol) => quotes.quote(symbol),
  onPlaced: (order) => orders.addIfUnknown(order),
});
const signIn = signInForm(find("#sign-in"), (session) => {
  enter(session);
  find("#symbol").focus();
});

/** @type {Connection | null} */
let prices = null;
/** @type {Connection | null} */
let trading = null;
/** Whose orders are on the page. */
let shownUser = "";
let lastLoss = -Infinity;

/** @param {import("./orders.js").Order} order */
async function cancel(order) {
  try {
    await call("DELETE", `/api/orders/${encodeURIComponent(order.orderId)}`);
  } catch (error) {
    notice(`Not canceled: ${inWords(order)}. ${reasonOf(error)}`, "bad");
  }
}

function openPrices() {
  if (prices) return;
  let lastPrice = "";
  prices = connect("/api/stream/prices", {
    onEvent({ type, data }) {
      if (type !== "price:update") return;
      lastPrice = data.timestamp ?? lastPrice;
      quotes.apply(data);
    },
    onState(state) {
      if (prices === null) return; // paused, which is another state
      showPricesState(state);
      const old = state.name !== "live" && lastPrice !== "";
      find("#quotes").classList.toggle("stale", old);
      write(find("#quotes-note"), old ? `Not live: last price at ${time(lastPrice)}` : "");
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
const onTradingEvent = {
  "order:update"(data) {
    if (data.snapshot) {
      orders.replace(data.orders);
      orders.whenEmpty("No orders yet. Place one with the ticket.");
      return;
    }
    orders.apply(data);
    if (data.status === "canceled") notice(`Canceled: ${inWords(data)}`);
    if (data.status === "rejected" || data.status === "failed") {
      notice(`Order ${data.status}: ${inWords(data)}. ${data.reason ?? ""}`, "bad");
    }
  },
  "order:fill"(data) {
    orders.apply(data);
    tellFill(data);
  },
  "trade:new": executions.add,
  "stream:reset": () => notice("Your orders were read afresh: the server could not resume."),
  "connection:limit": () => notice("Too many tabs are open; this one stops. Reload it to go on.", "bad"),
};

function openTrading() {
  trading?.close();
  const stream = connect("/api/stream/trading", {
    onEvent: ({ type, data }) => onTradingEvent[type]?.(data),
    onState(state) {
      if (trading !== stream && state.name === "closed") return; // another one has taken over
      showTradingState(state);
      if (state.name === "signed-out") void lose(stream);
    },
  });
  trading = stream;
}

/** @param {Session} session */
function enter(session) {
  if (session.userId !== shownUser) {
    orders.clear("Reading your orders…");
    executions.clear();
    shownUser = session.userId;
  }
  write(find("#user"), session.userId);
  find("#account").hidden = false;
  signIn.hide();
  ticket.show(true);
  openTrading();
  bell.enter(session.userId);
}

/** @param {string} why */
function leave(why) {
  const stream = trading;
  trading = null;
  stream?.close();
  showTradingState({ name: "signed-out", reason: why });
  orders.clear(SIGNED_OUT_ORDERS);
  executions.clear();
  shownUser = "";
  find("#account").hidden = true;
  ticket.show(false);
  bell.leave();
  signIn.show(why);
}

/**
 * The stream's session is over; the browser may have a newer one, from another tab.
 *
 * @param {Connection} stream
 */
async function lose(stream) {
  const again = performance.now() - lastLoss < LOSS_PAUSE_MS;
  lastLoss = performance.now();
  const session = again ? null : await currentSession().catch(() => null);
  if (trading !== stream) return; // signed out here meanwhile
  if (session) enter(session);
  else leave("Your session has ended. Sign in again.");
}

async function begin() {
  for (;;) {
    try {
      const session = await currentSession();
      if (session) enter(session);
      else leave("");
      return;
    } catch (error) {
      const reason = reasonOf(error);
      showTradingState({ name: "reconnecting", retryInMs: SESSION_RETRY_MS, tries: 1, reason });
      await new Promise((resolve) => setTimeout(resolve, SESSION_RETRY_MS));
    }
  }
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let hiding;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.visibilityState === "hidden") hiding = setTimeout(pausePrices, HIDDEN_MS);
  else openPrices();
});

signOutButton(() => leave(""));

openPrices();
void begin();
