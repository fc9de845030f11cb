/**
 * Submits orders with retries, without placing an order twice.
 *
 * Every submission has its own `clientOrderId`. An attempt whose outcome is unknown is repeated with
 * the same id, either at once or by the user's next submission of the same order. The server answers
 * a repeated id with the order that it already placed.
 */

import { ApiError, type Order, type TapewireClient, Unreachable } from "@tapewire/client";

export const MAX_ATTEMPTS = 4;
const RETRY_MS = 1_000;
/** If the server asks for a longer delay, the submission fails and the user decides. */
const MAX_RETRY_MS = 8_000;

export interface OrderRequest {
  readonly symbol: string;
  readonly side: "buy" | "sell";
  readonly type: "market" | "limit" | "stop" | "stop_limit";
  readonly qty: number;
  readonly limitPrice?: number;
  readonly stopPrice?: number;
  readonly timeInForce?: "day" | "ioc" | "fok";
  readonly reduceOnly?: true;
}

/** 128 random bits. `crypto.randomUUID` is missing over plain HTTP, except on localhost. */
function randomClientOrderId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether the order may have been placed, or may still be. */
function isOutcomeUnknown(error: unknown): boolean {
  return error instanceof Unreachable || (error instanceof ApiError && error.transient);
}

export class OrderSubmitter {
  readonly #client: Pick<TapewireClient, "call">;
  /** The last submission while its outcome is unknown. */
  #pending = { contents: "", clientOrderId: "" };

  constructor(client: Pick<TapewireClient, "call">) {
    this.#client = client;
  }

  /**
   * @param userId  the user who submits the order
   * @param onRetry  called before each retry with the number of attempts so far
   * @throws ApiError, Unreachable
   */
  async submit(
    userId: string,
    request: OrderRequest,
    onRetry: (attempts: number) => void,
  ): Promise<Order> {
    const contents = JSON.stringify([userId, request]);
    if (this.#pending.contents !== contents) {
      this.#pending = { contents, clientOrderId: randomClientOrderId() };
    }
    const { clientOrderId } = this.#pending;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const body = { ...request, clientOrderId };
        const order = await this.#client.call<Order>("POST", "/api/orders", body, { user: userId });
        this.#pending = { contents: "", clientOrderId: "" };
        return order;
      } catch (error) {
        if (!isOutcomeUnknown(error)) {
          this.#pending = { contents: "", clientOrderId: "" };
          throw error;
        }
        const requestedMs = error instanceof ApiError ? error.retryAfterMs : null;
        const delayMs = requestedMs ?? RETRY_MS * attempt;
        if (attempt === MAX_ATTEMPTS || delayMs > MAX_RETRY_MS) throw error;
        onRetry(attempt);
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
    }
  }
}
