/**
 * JSON calls to the edge, with typed errors.
 *
 * `call` returns the decoded body, throws `ApiError` (the server rejected the call), or throws
 * `Unreachable` (it is not known whether the call was carried out: repeat it only when that is safe).
 */

import { retryAfterMs } from "./delay.js";

/** A call without a response after this, in milliseconds, is `Unreachable`. */
export const CALL_TIMEOUT_MS = 10_000;

/**
 * The body of every error of the edge.
 *
 * @typedef {object} ErrorBody
 * @property {string} error        the name of the status, "Unauthorized", or "account_changed"
 * @property {string} message      what is wrong, for people
 * @property {number} statusCode
 * @property {string=} path        the field that is wrong, "qty" (422 only)
 * @property {unknown=} value      what that field held, when small
 * @property {"not_done" | "unknown"=} outcome  what is known of a call that changes something (503)
 * @property {string=} idempotencyKey  repeats that call at most once, as the header Idempotency-Key
 */

/**
 * The header that names the user whom a request is meant for. All tabs of a browser share one
 * session: when another user signs in in another tab, the server refuses the request.
 *
 * @param {string} [user]  without it, the request is for whoever is signed in
 * @returns {Record<string, string>}
 */
export function userHeader(user) {
  return user === undefined ? {} : { "X-Tapewire-User": encodeURIComponent(user) };
}

/** The server answered with an error. */
export class ApiError extends Error {
  /**
   * @param {ErrorBody} body
   * @param {number | null} waitMs from `Retry-After`
   */
  constructor(body, waitMs) {
    super(body.message);
    this.name = "ApiError";
    this.error = body.error;
    this.statusCode = body.statusCode;
    this.path = body.path;
    this.value = body.value;
    this.outcome = body.outcome;
    this.idempotencyKey = body.idempotencyKey;
    this.retryAfterMs = waitMs;
  }

  /** Whether the same call may succeed later, because the server is busy or unavailable. */
  get transient() {
    return [408, 425, 429, 500, 502, 503, 504].includes(this.statusCode);
  }

  /** Whether the request was meant for another user than the one who is signed in now. */
  get isAccountChanged() {
    return this.statusCode === 409 && this.error === "account_changed";
  }

  /** The last segment of `path`: "qty" for "$.order.qty". */
  get field() {
    return this.path?.split(/[.[\]/]+/).filter(Boolean).pop();
  }
}

/** No response: the network or the server is down, or the call timed out. */
export class Unreachable extends Error {
  /**
   * @param {string} url
   * @param {unknown} cause
   */
  constructor(url, cause) {
    super("The server cannot be reached; check the connection and try again.", { cause });
    this.name = "Unreachable";
    this.url = url;
  }
}

/**
 * The error in a response that is not a success, also in a proxy's HTML page.
 *
 * @param {Response} response
 * @returns {Promise<ApiError>}
 */
export async function errorFrom(response) {
  const wait = retryAfterMs(response.headers.get("Retry-After"), Date.now());
  /** @type {Partial<ErrorBody>} */
  let body = {};
  try {
    const parsed = await response.json();
    if (parsed !== null && typeof parsed === "object") body = parsed;
  } catch {
    // Not JSON: the status alone describes the error.
  }
  const name = String(body.error ?? (response.statusText || `Status ${response.status}`));
  return new ApiError(
    {
      error: name,
      message: String(body.message ?? name),
      statusCode: response.status,
      path: typeof body.path === "string" ? body.path : undefined,
      value: body.value,
      outcome: body.outcome === "not_done" || body.outcome === "unknown" ? body.outcome : undefined,
      idempotencyKey: typeof body.idempotencyKey === "string" ? body.idempotencyKey : undefined,
    },
    wait,
  );
}

/**
 * Make a call, with the session cookie.
 *
 * @param {"GET" | "POST" | "PATCH" | "DELETE"} method
 * @param {string} url
 * @param {unknown} [body]  sent as JSON; numbers are exact up to 15 significant digits
 * @param {object} [options]
 * @param {typeof fetch} [options.fetch]
 * @param {number} [options.timeoutMs]
 * @param {string} [options.user]  the user whom the call is meant for; if another one is signed in,
 *   it fails (`isAccountChanged`)
 * @param {Record<string, string>} [options.headers]
 * @param {RequestCredentials} [options.credentials]  "same-origin" by default
 * @returns {Promise<any>}  the decoded body; undefined when there is none (204)
 * @throws {ApiError}
 * @throws {Unreachable}
 */
export async function call(method, url, body, options = {}) {
  const send = options.fetch ?? globalThis.fetch;
  /** @type {RequestInit} */
  const request = {
    method,
    headers: { Accept: "application/json", ...userHeader(options.user), ...options.headers },
    credentials: options.credentials ?? "same-origin",
    cache: "no-store",
    signal: AbortSignal.timeout(options.timeoutMs ?? CALL_TIMEOUT_MS),
  };
  if (body !== undefined) {
    request.headers = { ...request.headers, "Content-Type": "application/json" };
    request.body = JSON.stringify(body);
  }
  let response;
  let text;
  try {
    response = await send(url, request);
    if (response.ok) text = await response.text();
  } catch (cause) {
    throw new Unreachable(url, cause);
  }
  if (text === undefined) throw await errorFrom(response);
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    const message = `${url} answered with something that is not JSON`;
    throw new ApiError({ error: "Bad answer", message, statusCode: response.status }, null);
  }
}
