/**
 * Bearer tokens of calls and streams, and when to ask for another one.
 *
 * The application gives a function. It is called for the first request, before the token expires by
 * the `exp` of its JWT, and once after the server refused the token. Requests that name the same
 * function share its token. Start reading at `sendWithToken`.
 */

/** A token, or a function that returns one and is called again when that is needed. */
export type Token = string | (() => string | Promise<string>);

/** A token is renewed this long before it expires, or after four fifths of a shorter life. */
export const RENEWAL_MS = 60_000;
/** A replacement that is refused within this time is the last one. */
export const FRESH_MS = 10_000;
/** A function that returns no token within this time has failed. */
export const TOKEN_TIMEOUT_MS = 30_000;

/** The application returned no token, so nothing was sent. */
export class TokenUnavailable extends Error {
  constructor(cause: unknown) {
    super(`no token: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = "TokenUnavailable";
  }
}

/** The current token of a function. */
export class BearerToken {
  readonly #ask: () => string | Promise<string>;
  readonly #now: () => number;
  #token = "";
  #receivedAt = 0;
  /** Whether the server refused the token before. */
  #isReplacement = false;
  /** Epoch milliseconds; -Infinity when there is no token, Infinity when it does not expire. */
  #renewAt = Number.NEGATIVE_INFINITY;
  #asking: Promise<string> | null = null;

  /** @param now  epoch milliseconds */
  constructor(ask: () => string | Promise<string>, now: () => number = () => Date.now()) {
    this.#ask = ask;
    this.#now = now;
  }

  /** Milliseconds until the token is to be renewed; Infinity: not before the server refuses it. */
  get renewInMs(): number {
    return Math.max(this.#renewAt - this.#now(), 0);
  }

  /**
   * A token that does not expire soon. Callers at the same time share one question.
   *
   * @throws {TokenUnavailable}
   */
  current(): Promise<string> {
    if (this.#now() < this.#renewAt) return Promise.resolve(this.#token);
    this.#asking ??= this.#renew();
    return this.#asking;
  }

  /**
   * The server refused `token`: `current` asks for another one, unless it has done so already.
   *
   * @returns false: it does not, because `token` has only just replaced one that was refused as well
   */
  refuse(token: string): boolean {
    if (token !== this.#token) return true;
    if (this.#isReplacement && this.#now() - this.#receivedAt < FRESH_MS) return false;
    this.#renewAt = Number.NEGATIVE_INFINITY;
    return true;
  }

  async #renew(): Promise<string> {
    try {
      const token = await withTimeout(this.#ask);
      const now = this.#now();
      const expiresAt = expiryOf(token);
      // The application has no other one yet: ask again when this one has expired, not ever sooner.
      const early = token === this.#token ? 0 : Math.min(RENEWAL_MS, (expiresAt - now) / 5);
      this.#isReplacement = this.#token !== "" && this.#renewAt === Number.NEGATIVE_INFINITY;
      this.#token = token;
      this.#receivedAt = now;
      // Expired on arrival: the clock of this machine may be wrong, and only the server knows.
      this.#renewAt = expiresAt > now ? expiresAt - early : Number.POSITIVE_INFINITY;
      return token;
    } catch (error) {
      throw new TokenUnavailable(error);
    } finally {
      this.#asking = null;
    }
  }
}

const bearerTokens = new WeakMap<() => string | Promise<string>, BearerToken>();

/** The token of a request: one for each function; null for requests without one. */
export function bearerTokenOf(token: Token | undefined): BearerToken | null {
  if (token === undefined) return null;
  if (typeof token === "string") return new BearerToken(() => token);
  const known = bearerTokens.get(token) ?? new BearerToken(token);
  bearerTokens.set(token, known);
  return known;
}

/**
 * Send a request with the current token, and once more with another one after a 401.
 *
 * @param signal  ends the wait for a token
 * @param send  given a token
 * @throws {TokenUnavailable} and the signal's reason, and what `send` throws
 */
export async function sendWithToken(
  token: BearerToken,
  signal: AbortSignal | undefined,
  send: (token: string) => Promise<Response>,
): Promise<Response> {
  const first = await untilAborted(token.current(), signal);
  const response = await send(first);
  if (response.status !== 401 || !token.refuse(first)) return response;
  const second = await untilAborted(token.current(), signal);
  if (second === first) return response;
  void response.body?.cancel();
  return send(second);
}

/** The header that carries a token. */
export function tokenHeader(token: string): Record<string, string> {
  return { Authorization: `Bearer ${token}` };
}

/** When a JWT expires, in epoch milliseconds; Infinity for another token. */
function expiryOf(token: string): number {
  try {
    const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const { exp } = JSON.parse(atob(payload)) as { exp?: unknown };
    return typeof exp === "number" ? exp * 1000 : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

async function withTimeout(ask: () => string | Promise<string>): Promise<string> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`none within ${TOKEN_TIMEOUT_MS} ms`)),
      TOKEN_TIMEOUT_MS,
    );
  });
  try {
    return await Promise.race([ask(), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
