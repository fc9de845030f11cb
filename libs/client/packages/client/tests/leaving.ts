/** A connection whose server has announced its end. */

import { type Answer, connected } from "./fakes.js";

export const DRAINING = 'event: stream:draining\ndata: {"closesInMs":5000}\n\n';
export const CONNECTED = 'event: connected\ndata: {"clientId":"next"}\n\n';
export const LIVE = ": live\n\n";

export const order = (number: number) =>
  `event: order:update\ndata: {"n":${number}}\nid: e-${number}\n\n`;

/**
 * A live connection at e-7 whose server has announced its end.
 *
 * @param answers  to the requests that follow
 */
export async function leaving(answers: readonly Answer[], options: object = {}) {
  const made = await connected(["stream", ...answers], options);
  const old = made.last();
  await old.send(order(7) + DRAINING);
  const numbers = () => made.events.filter(({ id }) => id).map(({ data }) => data.n);
  const prices = () =>
    made.events.filter(({ type }) => type === "price:update").map(({ data }) => data.price);
  return { ...made, old, numbers, prices };
}
