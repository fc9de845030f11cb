/**
 * Sending an order so that it is placed once, whatever happens on the way.
 *
 * Every submit has a `clientOrderId` of its own. A try whose outcome is unknown is repeated with
 * the same one, here or by the next submit of the same contents: the server answers with the order
 * that the first try made.
 */

import { ApiError, Unreachable, call } from "/client/tapewire.js";

export const TRIES_AT_MOST = 4;
const PAUSE_MS = 1_000;
/** A server that asks for more patience than this gets a person's. */
const PAUSE_AT_MOST_MS = 8_000;

/**
 * @typedef {object} Wish
 * @property {string} symbol
 * @property {string} side
 * @property {string} type
 * @property {number | string} qty
 * @property {number | string=} limitPrice
 */

/** 128 random bits. Not `randomUUID`, which plain http has only on the local machine. */
function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {unknown} error  whether the order may have been placed, or may be yet */
function unsettled(error) {
  return error instanceof Unreachable || (error instanceof ApiError && error.transient);
}

export function orderPlacer() {
  /** The last submit, while nobody knows what became of it. */
  let pending = { contents: "", clientOrderId: "" };

  /**
   * @param {Wish} wish
   * @param {(tries: number) => void} onRetry
   * @returns {Promise<import("./orders.js").Order>}
   * @throws {ApiError | Unreachable}
   */
  return async function place(wish, onRetry) {
    const contents = JSON.stringify(wish);
    if (pending.contents !== contents) pending = { contents, clientOrderId: freshId() };
    const { clientOrderId } = pending;
    for (let tries = 1; ; tries += 1) {
      try {
        const order = await call("POST", "/api/orders", { ...wish, clientOrderId });
        pending = { contents: "", clientOrderId: "" };
        return order;
      } catch (error) {
        if (!unsettled(error)) {
          pending = { contents: "", clientOrderId: "" };
          throw error;
        }
        const asked = error instanceof ApiError ? error.retryAfterMs : null;
        const pause = asked ?? PAUSE_MS * tries;
        if (tries === TRIES_AT_MOST || pause > PAUSE_AT_MOST_MS) throw error;
        onRetry(tries);
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  };
}
