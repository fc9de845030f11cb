/**
 * JSON calls to the edge, with typed errors.
 *
 * `call` returns the decoded body, throws `ApiError` (the server rejected the call), or throws
 * `Unreachable` (it is not known whether the call was carried out: repeat it only when that is safe).
 */

import { retryAfterMs } from "./delay.js";
import { bearerTokenOf, sendWithToken, TokenUnavailable, tokenHeader } from "./token.js";
import type { RequestOptions } from "./types.js";

/** A call without a response after this, in milliseconds, is `Unreachable`. */
export const CALL_TIMEOUT_MS = 10_000;

/** The body of every error of the edge. */
export interface ErrorBody {
  /** The name of the status, "Unauthorized", or "account_changed". */
  readonly error: string;
  /** What is wrong, for people. */
  readonly message: string;
  readonly statusCode: number;
  /** The field that is wrong, "qty" (422 only). */
  readonly path?: string | undefined;
  /** What that field held, when small. */
  readonly value?: unknown;
  /** What is known of a call that changes something (503). */
  readonly outcome?: "not_done" | "unknown" | undefined;
  /** Repeats that call at most once, as the header Idempotency-Key. */
  readonly idempotencyKey?: string | undefined;
}

export type Method = "GET" | "POST" | "PATCH" | "PUT" | "DELETE";

export interface CallSettings extends RequestOptions {
  readonly timeoutMs?: number | undefined;
  /** The same call with the same key is carried out at most once. */
  readonly idempotencyKey?: string | undefined;
}

/**
 * The header that names the user whom a request is meant for. All tabs of a browser share one
 * session: when another user signs in in another tab, the server refuses the request.
 *
 * @param user  without it, the request is for whoever is signed in
 */
export function userHeader(user?: string): Record<string, string> {
  return user === undefined ? {} : { "X-Tapewire-User": encodeURIComponent(user) };
}

/** The server answered with an error. */
export class ApiError extends Error {
  readonly error: string;
  readonly statusCode: number;
  readonly path: string | undefined;
  readonly value: unknown;
  readonly outcome: "not_done" | "unknown" | undefined;
  readonly idempotencyKey: string | undefined;
  readonly retryAfterMs: number | null;

  /** @param waitMs  from `Retry-After` */
  constructor(body: ErrorBody, waitMs: number | null) {
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
  get transient(): boolean {
    return [408, 425, 429, 500, 502, 503, 504].includes(this.statusCode);
  }

  /** Whether the request was meant for another user than the one who is signed in now. */
  get isAccountChanged(): boolean {
    return this.statusCode === 409 && this.error === "account_changed";
  }

  /** The last segment of `path`: "qty" for "$.order.qty". */
  get field(): string | undefined {
    return this.path
      ?.split(/[.[\]/]+/)
      .filter(Boolean)
      .pop();
  }
}

/** No response: the network or the server is down, or the call timed out. */
export class Unreachable extends Error {
  readonly url: string;

  constructor(url: string, cause: unknown) {
    super("The server cannot be reached; check the connection and try again.", { cause });
    this.name = "Unreachable";
    this.url = url;
  }
}

/** The error in a response that is not a success, also in a proxy's HTML page. */
export async function errorFrom(response: Response): Promise<ApiError> {
  const wait = retryAfterMs(response.headers.get("Retry-After"), Date.now());
  let body: { readonly [Name in keyof ErrorBody]?: unknown } = {};
  try {
    const parsed: unknown = await response.json();
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
 * Make a call, with the session cookie or a token.
 *
 * @param body  sent as JSON; numbers are exact up to 15 significant digits
 * @returns the decoded body; undefined when there is none (204)
 * @throws {ApiError}
 * @throws {Unreachable}
 * @throws {TokenUnavailable}
 * @throws {DOMException} "AbortError": `signal` was aborted; it may have been carried out
 */
export async function call<T = unknown>(
  method: Method,
  url: string,
  body?: unknown,
  options: CallSettings = {},
): Promise<T> {
  const { fetch = globalThis.fetch, signal } = options;
  const headers: Record<string, string> = {
    Accept: "application/json",
    ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    ...(options.idempotencyKey === undefined ? {} : { "Idempotency-Key": options.idempotencyKey }),
    ...userHeader(options.user),
    ...options.headers,
  };
  const content = body === undefined ? {} : { body: JSON.stringify(body) };
  const send = (authorization: Record<string, string>): Promise<Response> => {
    const timeout = AbortSignal.timeout(options.timeoutMs ?? CALL_TIMEOUT_MS);
    return fetch(url, {
      method,
      headers: { ...headers, ...authorization },
      ...content,
      credentials: options.credentials ?? "same-origin",
      cache: "no-store",
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    });
  };
  const token = bearerTokenOf(options.token);
  let response: Response;
  let text = "";
  try {
    signal?.throwIfAborted();
    response = await (token === null
      ? send({})
      : sendWithToken(token, signal, (value) => send(tokenHeader(value))));
    if (response.ok) text = await response.text();
  } catch (cause) {
    if (signal?.aborted) throw abortError();
    throw cause instanceof TokenUnavailable ? cause : new Unreachable(url, cause);
  }
  if (!response.ok) {
    const error = await errorFrom(response);
    throw signal?.aborted ? abortError() : error;
  }
  if (text === "") return undefined as T;
  try {
    return JSON.parse(text) as T;
  } catch {
    const message = `${url} answered with something that is not JSON`;
    throw new ApiError({ error: "Bad answer", message, statusCode: response.status }, null);
  }
}

/** Whatever the reason of the signal is, callers find aborted calls by one name. */
function abortError(): DOMException {
  return new DOMException("The call was aborted.", "AbortError");
}
