/** Every state of the connection in words: pure functions. */

import type { ConnectionStatus, SessionState, StreamReset, Transport } from "@tapewire/client";

export type Tone = "good" | "busy" | "warn" | "bad";

export interface StatusText {
  readonly tone: Tone;
  /** One or two words for the bar. */
  readonly word: string;
  /** A sentence for screen readers and, if something is wrong, for the strip below the bar. */
  readonly sentence: string;
  /** What it means and what happens next; "" for nothing to say. */
  readonly more: string;
  /** The time of the next try, in epoch milliseconds. */
  readonly retryAt: number | null;
  /** Whether the prices on the screen are current. */
  readonly isLive: boolean;
}

const CALM = { more: "", retryAt: null, isLive: false } as const;

export function describeStatus(status: ConnectionStatus): StatusText {
  switch (status.name) {
    case "connecting":
      return {
        ...CALM,
        tone: "busy",
        word: "Connecting",
        sentence: status.tries > 1 ? `Connecting, try ${status.tries}.` : "Connecting.",
        more: "Waiting for the server's answer.",
      };
    case "catching-up":
      return {
        ...CALM,
        tone: "busy",
        word: "Catching up",
        sentence: "Catching up on what happened meanwhile.",
        more: `${count(status.received, "event")} received so far.`,
      };
    case "live":
      return status.isPolling
        ? {
            tone: "warn",
            word: "Polling",
            sentence: "Polling: this network holds back the stream.",
            more: "The server is asked again and again instead; everything arrives, a little later.",
            retryAt: null,
            isLive: true,
          }
        : { ...CALM, tone: "good", word: "Live", sentence: "Live.", isLive: true };
    case "stale":
      return {
        ...CALM,
        tone: "bad",
        word: "Not live",
        sentence: "Prices are not current.",
        more: "Nothing has arrived although it should have. What you see is from before.",
      };
    case "reconnecting":
      return {
        ...CALM,
        tone: "bad",
        word: "Reconnecting",
        sentence: "The connection is lost. Prices are not current.",
        more: reasonText(status.reason),
        retryAt: status.retryAt,
      };
    case "signed-out":
      return {
        ...CALM,
        tone: "warn",
        word: "Signed out",
        sentence: "The stream has ended: you are signed out.",
        more: reasonText(status.reason),
      };
    case "refused":
      return {
        ...CALM,
        tone: "bad",
        word: "Refused",
        sentence: "The server refuses this page.",
        more: `${status.error?.message || reasonText(status.reason)} Close other tabs or load the page again.`,
      };
  }
}

/** What browsers throw when a server cannot be reached; each has words of its own. */
const BROWSER_ERROR = /^(?:TypeError|NetworkError|AbortError)\b/;

/** Reasons of the protocol in words. Unknown ones are shown as they are. */
const REASONS: Record<string, string> = {
  "connection-limit": "You have too many connections: this one was the oldest.",
  slow: "This page could not keep up and was disconnected; it resumes where it was.",
  draining: "The server is being restarted.",
  network: "The server cannot be reached.",
  offline: "This device is offline.",
  timeout: "The server did not answer in time.",
  "by-user": "You have signed out.",
  expired: "The session has expired.",
  revoked: "The session was ended elsewhere.",
};

export function reasonText(reason: string): string {
  const name = BROWSER_ERROR.test(reason) ? "network" : reason.trim();
  const known = REASONS[name] ?? name;
  if (known === "") return "";
  const sentence = known.charAt(0).toUpperCase() + known.slice(1);
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}

const RESETS: Record<StreamReset["reason"], string> = {
  malformed: "The page's position in the stream could not be read.",
  epoch: "The server's journal was replaced.",
  ahead: "The server has lost its newest events.",
  trimmed: "The events that this page has missed are no longer kept.",
  limit: "This page has missed too many events to be sent them all.",
};

/** What was lost: the views were replaced by the present state, and some events were never shown. */
export function describeReset(reset: StreamReset, time: string): { title: string; text: string } {
  return {
    title: `The view was loaded anew at ${time}.`,
    text: `${RESETS[reset.reason] ?? ""} Orders, positions and prices are right as of now; single messages from before ${time} may be missing here. Lists still load them.`,
  };
}

const TRANSPORTS: Record<Transport, string> = {
  worker: "One connection for all tabs, held by a background worker.",
  leader: "This tab holds the connection for all tabs.",
  follower: "Another tab holds the connection for this one.",
  own: "This tab has a connection of its own: the browser cannot share one.",
  none: "No connection.",
};

export function describeTransport(transport: Transport): string {
  return TRANSPORTS[transport];
}

/** Why nobody is signed in; "" when there is nothing to explain. */
export function describeSession(session: SessionState): string {
  switch (session.name) {
    case "loading":
      return "Finding out who is signed in.";
    case "unreachable":
      return `It is not known who is signed in. ${reasonText(session.reason)}`;
    case "signed-out":
      return {
        never: "",
        "by-user": "You are signed out.",
        expired: "Your session has expired. Sign in again to go on.",
        revoked: "Your session was ended elsewhere. Sign in again to go on.",
      }[session.reason];
    case "signed-in":
      return "";
  }
}

/** What is said when the session changes; null for nothing. */
export function describeSessionChange(
  before: SessionState | null,
  after: SessionState,
): string | null {
  if (after.name === "signed-in") {
    if (before?.name === "signed-in" && before.userId !== after.userId) {
      return `The account has changed: this page now shows ${after.userId}, not ${before.userId}.`;
    }
    return before === null || before.name === "loading" || before.name === "signed-in"
      ? null
      : `Signed in as ${after.userId}.`;
  }
  if (after.name === "signed-out" && before?.name === "signed-in") {
    return describeSession(after) || "You are signed out.";
  }
  return null;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
