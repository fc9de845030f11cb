/**
 * Submits orders with retries, without placing an order twice.
 *
 * Every submission has its own `clientOrderId`. An attempt whose outcome is unknown is repeated with
 * the same id, either automatically or by the user's next submission of the same order. The server
 * answers a repeated id with the order that it already placed.
 */

import { ApiError, Unreachable } from "/client/tapewire.js";

export const MAX_ATTEMPTS = 4;
const RETRY_MS = 1_000;
/** If the server asks for a longer delay, the submission fails and the user decides. */
const MAX_RETRY_MS = 8_000;

/**
 * @typedef {object} OrderRequest
 * @property {string} symbol
 * @property {string} side
 * @property {string} type
 * @property {number | string} qty
 * @property {number | string=} limitPrice
 * @property {number | string=} stopPrice
 * @property {string=} timeInForce
 * @property {boolean=} reduceOnly
 */

/**
 * Create an id of 128 random bits. `crypto.randomUUID` is not available over plain HTTP, except on
 * localhost.
 */
function randomClientOrderId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {unknown} error
 * @returns {boolean}  whether the order may have been placed, or may still be
 */
function isOutcomeUnknown(error) {
  return error instanceof Unreachable || (error instanceof ApiError && error.transient);
}

/** @param {import("./account.js").Account} account */
export function createOrderSubmitter(account) {
  /** The last submission while its outcome is unknown. */
  let pending = { contents: "", clientOrderId: "" };

  /**
   * @param {string} userId  the user who submits the order
   * @param {OrderRequest} request
   * @param {(attempts: number) => void} onRetry  called before each retry
   * @returns {Promise<import("./orders.js").Order>}
   * @throws {ApiError | Unreachable}
   */
  return async function submitOrder(userId, request, onRetry) {
    const contents = JSON.stringify([userId, request]);
    if (pending.contents !== contents) pending = { contents, clientOrderId: randomClientOrderId() };
    const { clientOrderId } = pending;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const order = await account.callAs(userId, "POST", "/api/orders", { ...request, clientOrderId });
        pending = { contents: "", clientOrderId: "" };
        return order;
      } catch (error) {
        if (!isOutcomeUnknown(error)) {
          pending = { contents: "", clientOrderId: "" };
          throw error;
        }
        const requestedMs = error instanceof ApiError ? error.retryAfterMs : null;
        const delayMs = requestedMs ?? RETRY_MS * attempt;
        if (attempt === MAX_ATTEMPTS || delayMs > MAX_RETRY_MS) throw error;
        onRetry(attempt);
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
    }
  };
}
