import type { ConnectionStatus, SessionState, StreamReset, Transport } from "@tapewire/client";
import { describe, expect, it } from "vitest";

import {
  describeReset,
  describeSession,
  describeSessionChange,
  describeStatus,
  describeTransport,
} from "../src/app/status-text.js";
import { phaseOf } from "../src/app/use-announced-state.js";

const STATES: ConnectionStatus[] = [
  { name: "connecting", tries: 1 },
  { name: "connecting", tries: 4 },
  { name: "catching-up", received: 1 },
  { name: "live", isPolling: false },
  { name: "live", isPolling: true },
  { name: "stale", since: 1 },
  { name: "reconnecting", retryAt: 5, reason: "network", tries: 2 },
  { name: "signed-out", reason: "expired" },
  { name: "refused", reason: "connection-limit", error: null },
];

describe("the state of the connection in words", () => {
  it.each(STATES)("$name says what it is, and whether prices are current", (status) => {
    const text = describeStatus(status);
    expect(text.word).not.toBe("");
    expect(text.sentence).toMatch(/^[A-Z].*\.$/);
    expect(text.more).toMatch(/^$|^[A-Z0-9].*\.$/);
    expect(text.isLive).toBe(status.name === "live");
  });

  it.each([
    "TypeError: network error",
    "TypeError: NetworkError when attempting to fetch resource.",
    "AbortError: The operation was aborted.",
    "NetworkError: A network error occurred.",
  ])("has words of its own for what browsers throw: %s", (reason) => {
    const { more } = describeStatus({ name: "reconnecting", retryAt: 5, reason, tries: 2 });
    expect(more).toBe("The server cannot be reached.");
  });

  it("has different words for different states", () => {
    const words = STATES.filter(
      (status) => !(status.name === "connecting" && status.tries === 4),
    ).map((status) => describeStatus(status).word);
    expect(new Set(words).size).toBe(words.length);
  });

  it("says how many events were received, when the next try is, and what the server said", () => {
    expect(describeStatus({ name: "catching-up", received: 1 }).more).toContain("1 event received");
    expect(describeStatus({ name: "catching-up", received: 340 }).more).toContain("340 events");
    expect(
      describeStatus({ name: "reconnecting", retryAt: 77, reason: "network", tries: 1 }),
    ).toMatchObject({ retryAt: 77 });
    expect(
      describeStatus({
        name: "refused",
        reason: "x",
        error: new Error("Ten connections are open."),
      }).more,
    ).toContain("Ten connections");
  });

  it("shows a reason that it does not know as it is", () => {
    expect(describeStatus({ name: "signed-out", reason: "audit <b>" }).more).toBe("Audit <b>.");
  });

  it("takes tries that fail one after the other as one state", () => {
    expect(phaseOf({ name: "connecting", tries: 3 })).toBe(
      phaseOf({ name: "reconnecting", retryAt: 1, reason: "", tries: 3 }),
    );
    expect(phaseOf({ name: "connecting", tries: 1 })).not.toBe(
      phaseOf({ name: "reconnecting", retryAt: 1, reason: "", tries: 1 }),
    );
  });
});

describe("other values in words", () => {
  it.each(["malformed", "epoch", "ahead", "trimmed", "limit"] satisfies StreamReset["reason"][])(
    "a reset (%s) says what was lost and until when",
    (reason) => {
      const { title, text } = describeReset({ reason, at: 1 }, "14:03:22");
      expect(title).toContain("14:03:22");
      expect(text).toMatch(/before 14:03:22 may be missing/);
    },
  );

  it.each(["worker", "leader", "follower", "own", "none"] satisfies Transport[])(
    "the transport %s has a sentence",
    (transport) => {
      expect(describeTransport(transport)).toMatch(/\.$/);
    },
  );

  it.each(["expired", "revoked", "by-user"] as const)(
    "a session that ended (%s) says so",
    (reason) => {
      expect(describeSession({ name: "signed-out", reason })).toMatch(/\.$/);
    },
  );
});

describe("a change of the account in words", () => {
  const of = (userId: string): SessionState => ({
    name: "signed-in",
    userId,
    roles: [],
    expiresAt: null,
  });
  const out = (reason: "never" | "expired" | "revoked"): SessionState => ({
    name: "signed-out",
    reason,
  });

  it("names both accounts", () => {
    expect(describeSessionChange(of("ada"), of("bob"))).toBe(
      "The account has changed: this page now shows bob, not ada.",
    );
  });

  it.each([
    ["the first state of the page", null, of("ada")],
    ["the same user again", of("ada"), of("ada")],
    ["nobody before and after", out("never"), out("never")],
  ])("is silent about %s", (_, before, after) => {
    expect(describeSessionChange(before, after)).toBeNull();
  });

  it("says that a session has expired or was ended elsewhere", () => {
    expect(describeSessionChange(of("ada"), out("expired"))).toContain("expired");
    expect(describeSessionChange(of("ada"), out("revoked"))).toContain("ended elsewhere");
  });
});
