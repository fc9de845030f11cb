/**
 * Runs the client in Node: `node watcher.js URL COOKIE` writes a line of JSON for each event and
 * each state until its input ends.
 */

import { connect } from "../../libs/client/packages/client/dist/tapewire.js";

const [url, cookie] = process.argv.slice(2);
const say = (/** @type {object} */ what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const stream = connect(url, {
  headers: { Cookie: cookie },
  onEvent: ({ type, id, data }) => say({ type, id, client: data?.clientId }),
  onState: ({ name }) => say({ state: name }),
});
process.stdin.on("end", () => stream.close()).resume();
