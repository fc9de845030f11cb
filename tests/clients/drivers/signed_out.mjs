/**
 * A page without a session that shows items and prices: node signed_out.mjs MODULE URL.
 *
 * Each line of standard input is a symbol that it shows besides, from then on. Each change of what it
 * shows is a line of JSON on standard output.
 */

import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [modulePath, baseUrl] = process.argv.slice(2);
const { createTapewire } = await import(pathToFileURL(modulePath).href);

const client = createTapewire({ baseUrl, sharing: "none" });
const { items, connection, prices } = client;
const symbols = [];

let before = "";
function show() {
  const { name, isPolling = false } = connection.status.get();
  const shown = JSON.stringify({
    items: items.keys.get().map((id) => items.get(id).title),
    list: items.status.get().name,
    connection: name,
    isPolling,
    live: symbols.filter((symbol) => prices.isLive(symbol)),
  });
  if (shown !== before) console.log(shown);
  before = shown;
}

for (const store of [items.keys, items.status, connection.status]) store.subscribe(show);
setInterval(show, 20);
createInterface({ input: process.stdin }).on("line", (symbol) => {
  symbols.push(symbol);
  prices.subscribe(symbol, show);
});
