/**
 * A day of a user through the stores of the built client: node stores.mjs MODULE URL USER.
 *
 * Each check is a line on standard output. The process fails with the first one that does not come
 * true in time.
 */

import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

const [modulePath, baseUrl, user] = process.argv.slice(2);
const { createTapewire } = await import(pathToFileURL(modulePath).href);
const TIMEOUT_MS = 60_000;
const LISTS = [
  "orders", "trades", "strategies", "decisions", "alerts", "alertRules", "configurations",
  "notifications", "items",
];

let cookie = "";
/** As `fetch` in a browser, with the session cookie. */
async function fetchWithCookie(input, init = {}) {
  const headers = new Headers(init.headers);
  if (cookie) headers.set("Cookie", cookie);
  const answer = await fetch(input, { ...init, headers });
  const [set] = answer.headers.getSetCookie();
  if (set !== undefined) [cookie] = set.split(";");
  return answer;
}

async function until(what, isTrue) {
  const end = Date.now() + TIMEOUT_MS;
  while (!isTrue()) {
    if (Date.now() > end) throw new Error(`not within ${TIMEOUT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  console.log(what);
}

function openClient() {
  const client = createTapewire({ baseUrl, sharing: "none", fetch: fetchWithCookie });
  const stores = [
    ...LISTS.map((name) => client[name].keys), client.positions.keys, client.prices.keys,
    client.account, client.itemMetrics, client.connectionCounts, client.openOrderIds,
    client.notifications.unread,
  ];
  for (const store of stores) store.subscribe(() => {});
  return client;
}

const since = new Date(Date.now() - 1_000).toISOString();
const client = openClient();
await client.signIn(user);
await until("all lists are loaded", () => LISTS.every((name) => client[name].status.get().name === "ready"));
await until("a price is live", () => client.prices.keys.get().some((one) => client.prices.isLive(one)));
const symbol = client.prices.keys.get().find((one) => client.prices.isLive(one));
const series = client.bars(symbol, "1s");
series.subscribe(() => {});
await until("bars are loaded", () => series.get().isLoaded);

const bought = await client.call("POST", "/api/orders", { symbol, side: "buy", type: "market", qty: 3 });
await until("the order is filled", () => client.orders.get(bought.orderId)?.status === "filled");
await until("its execution is listed", () => client.trades.keys.get().length > 0);
await until("the position is open", () => client.positions.get(symbol)?.quantity === 3);
await until("the account is known", () => client.account.get()?.grossExposure > 0);
const resting = { symbol, side: "buy", type: "limit", qty: 1, limitPrice: 0.01 };
const rested = await client.call("POST", "/api/orders", resting);
await until("the second order is open", () => client.openOrderIds.get().includes(rested.orderId));
assert.deepEqual(client.orders.keys.get(), [rested.orderId, bought.orderId]);

const condition = { kind: "price_above", symbol, price: 0.01 };
const rule = await client.call("POST", "/api/alerts/rules", condition);
await until("the rule has triggered", () => client.alertRules.get(rule.ruleId)?.armed === false);
await until("its alert is listed", () => client.alerts.keys.get().length > 0);
await until("a notification is unread", () => client.notifications.unread.get() > 0);
await client.notifications.markAllRead();
await until("all are read", () => client.notifications.unread.get() === 0);

const definition = { symbol, rule: { kind: "moving_average_crossover", fast: 2, slow: 3 }, quantity: 1 };
const strategy = await client.call("POST", "/api/strategies", definition);
await until("the strategy is listed", () => client.strategies.get(strategy.strategyId) !== undefined);
await client.call("POST", `/api/strategies/${strategy.strategyId}/start`);
await until("it is started", () => client.strategies.get(strategy.strategyId)?.status === "started");
const dashboard = await client.call("POST", "/api/v2/configurations", { name: "mine", tickers: [symbol] });
await until("the configuration is listed", () => client.configurations.get(dashboard.id)?.name === "mine");
await until("the figures are there", () => client.itemMetrics.get() !== null && client.connectionCounts.get() !== null);

const reloaded = openClient();
await until("a new page has the execution", () => reloaded.trades.keys.get().length > 0);
await until("and the orders", () => reloaded.orders.get(bought.orderId)?.status === "filled");
reloaded.close();

const replay = client.replay({ since });
await until("the replay is complete", () => replay.status.get().name === "complete");
const last = replay.after(replay.times.length);
assert.equal(last.view("orders").orders.byKey.get(bought.orderId).value.status, "filled");
assert.ok(last.view("positions").positions.byKey.has(symbol));
assert.equal(replay.after(0).view("orders").orders.byKey.size, 0);

await client.signOut();
await until("nothing private is left", () => client.account.get() === null && client.orders.keys.get().length === 0 && client.notifications.unread.get() === 0);
await until("public prices go on", () => client.prices.isLive(symbol));
client.close();
