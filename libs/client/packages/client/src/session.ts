/**
 * The session of the browser: who is signed in, in this tab and in all others.
 *
 * All tabs share the session's cookie. A tab that signs in or out tells the others, and each then asks
 * the server whose session it is. So it does when a call or the stream is refused because somebody
 * else is signed in. Start reading at `load`.
 */

import type { UserReport } from "./hub/messages.js";
import type { CallOptions, SessionState, SignedOutReason, Unsubscribe } from "./interfaces.js";
import { ApiError } from "./rest.js";
import type { MessageLink, TabEnvironment } from "./sharing/environment.js";
import { PlainValue } from "./sharing/value.js";

const SESSION_PATH = "/api/session";
/** The server is asked again after this time if it does not answer. */
export const RETRY_MS = 3_000;
/** Another tab or the stream can make this tab ask at most so often. */
export const MIN_FOLLOW_MS = 500;

interface SessionView {
  readonly userId: string;
  readonly roles: readonly string[];
  readonly expiresAt: string | null;
}

export type Call = <T>(
  method: string,
  path: string,
  body?: unknown,
  options?: CallOptions,
) => Promise<T>;

export interface SessionOptions {
  readonly environment: TabEnvironment;
  /** The name by which the tabs of this browser and server hear of each other's sign-ins. */
  readonly channelName: string;
  /** Calls the server for whoever is signed in. */
  readonly call: Call;
  /** What this tab has found out. */
  onReport(report: UserReport): void;
}

export class Session {
  readonly state = new PlainValue<SessionState>({ name: "loading" });
  readonly #options: SessionOptions;
  readonly #environment: TabEnvironment;
  readonly #otherTabs: MessageLink | null;
  readonly #stopPageEvents: Unsubscribe;
  /** Of the newest request: the results of older ones are of no interest. */
  #requestId = 0;
  #reportedAt = 0;
  #askedAt = -Infinity;
  #timer: unknown = null;
  #expiryTimer: unknown = null;
  #isClosed = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#environment = options.environment;
    this.#otherTabs = options.environment.openChannel(options.channelName, (message) =>
      this.#onOtherTab(message),
    );
    this.#stopPageEvents = options.environment.onPageEvent((event) => {
      // Another program of this browser may have signed in or out.
      if (event === "return" || (event === "visibility" && options.environment.isVisible()))
        this.follow();
    });
    void this.load();
  }

  /** The user whom this tab shows; null for nobody. */
  get userId(): string | null {
    const state = this.state.get();
    return state.name === "signed-in" ? state.userId : null;
  }

  /** Ask the server who is signed in, until it answers. */
  async load(reason?: SignedOutReason): Promise<void> {
    const requestId = this.#begin();
    const at = this.#environment.now();
    try {
      const view = await this.#options.call<SessionView>("GET", SESSION_PATH);
      if (this.#isNewest(requestId)) this.#showSignedIn(view, at);
    } catch (error) {
      if (!this.#isNewest(requestId)) return;
      if (error instanceof ApiError && error.statusCode === 401) {
        this.#showSignedOut(reason ?? this.#whyEnded(), at);
      } else {
        this.#showUnreachable(error, reason);
      }
    }
  }

  /** Somebody else may be signed in: ask, but not ever sooner. */
  follow(reason?: SignedOutReason): void {
    const wait = MIN_FOLLOW_MS - (this.#environment.now() - this.#askedAt);
    if (wait <= 0 || wait > MIN_FOLLOW_MS) void this.load(reason);
    else this.#schedule(wait, () => void this.load(reason));
  }

  /** @throws what a call throws */
  async signIn(userId: string, roles: readonly string[] = []): Promise<void> {
    await this.#change(async () => {
      const view = await this.#options.call<SessionView>("POST", SESSION_PATH, { userId, roles });
      return () => this.#showSignedIn(view, this.#environment.now());
    });
    this.#otherTabs?.post({ kind: "changed", reason: null });
  }

  /** @throws what a call throws */
  async signOut(): Promise<void> {
    const { userId } = this;
    await this.#change(async () => {
      try {
        const options = userId === null ? {} : { user: userId };
        await this.#options.call("DELETE", SESSION_PATH, undefined, options);
      } catch (error) {
        // 401: the session has already ended.
        if (!(error instanceof ApiError && error.statusCode === 401)) throw error;
      }
      return () => this.#showSignedOut("by-user", this.#environment.now());
    });
    this.#otherTabs?.post({ kind: "changed", reason: "by-user" });
  }

  /** An error of a call: perhaps the session is another one. */
  onCallError(error: unknown): void {
    if (!(error instanceof ApiError)) return;
    if (error.isAccountChanged || (error.statusCode === 401 && this.userId !== null)) this.follow();
  }

  close(): void {
    this.#isClosed = true;
    this.#otherTabs?.close();
    this.#stopPageEvents();
    this.#environment.clearTimeout(this.#timer);
    this.#environment.clearTimeout(this.#expiryTimer);
  }

  async #change(request: () => Promise<() => void>): Promise<void> {
    const requestId = this.#begin();
    let show: () => void;
    try {
      show = await request();
    } catch (error) {
      if (this.#isNewest(requestId)) void this.load();
      throw error;
    }
    // Somebody else has changed the session meanwhile: the answers do not tell which was the last.
    if (this.#isNewest(requestId)) show();
    else await this.load();
  }

  #begin(): number {
    this.#environment.clearTimeout(this.#timer);
    this.#askedAt = this.#environment.now();
    this.#requestId += 1;
    return this.#requestId;
  }

  #isNewest(requestId: number): boolean {
    return requestId === this.#requestId && !this.#isClosed;
  }

  #onOtherTab(message: unknown): void {
    const { kind, reason } = message as { kind?: unknown; reason?: SignedOutReason | null };
    if (kind === "changed") void this.load(reason ?? undefined);
  }

  #showSignedIn({ userId, roles, expiresAt }: SessionView, at: number): void {
    this.#report(userId, at);
    this.state.set({ name: "signed-in", userId, roles, expiresAt });
    this.#environment.clearTimeout(this.#expiryTimer);
    const expiresInMs = expiresAt === null ? NaN : Date.parse(expiresAt) - this.#environment.now();
    if (!(expiresInMs < MAX_TIMER_MS)) return;
    const ask = (): void => this.follow("expired");
    this.#expiryTimer = this.#environment.setTimeout(ask, Math.max(expiresInMs, MIN_FOLLOW_MS));
  }

  #showSignedOut(reason: SignedOutReason, at: number): void {
    this.#environment.clearTimeout(this.#expiryTimer);
    this.#report(null, at);
    if (this.state.get().name !== "signed-out") this.state.set({ name: "signed-out", reason });
  }

  /** Whoever was shown is still shown: the stream says itself that it is not live. */
  #showUnreachable(error: unknown, reason: SignedOutReason | undefined): void {
    const retryAt = this.#environment.now() + RETRY_MS;
    const { name } = this.state.get();
    if (name === "loading" || name === "unreachable") {
      const message = error instanceof Error ? error.message : String(error);
      this.state.set({ name: "unreachable", reason: message, retryAt });
    }
    this.#schedule(RETRY_MS, () => void this.load(reason));
  }

  #whyEnded(): SignedOutReason {
    const state = this.state.get();
    if (state.name === "signed-out") return state.reason;
    if (state.name !== "signed-in") return "never";
    const hasExpired =
      state.expiresAt !== null && Date.parse(state.expiresAt) <= this.#environment.now();
    return hasExpired ? "expired" : "revoked";
  }

  #report(userId: string | null, at: number): void {
    this.#reportedAt = Math.max(at, this.#reportedAt + 1);
    this.#options.onReport({ userId, at: this.#reportedAt });
  }

  #schedule(milliseconds: number, run: () => void): void {
    this.#environment.clearTimeout(this.#timer);
    this.#timer = this.#environment.setTimeout(run, milliseconds);
  }
}

/** Timers of browsers do not last longer. */
const MAX_TIMER_MS = 2_000_000_000;
