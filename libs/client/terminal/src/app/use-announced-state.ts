/** Says each state of the connection and of the session once, and marks the page. */

import type { ConnectionStatus, SessionState } from "@tapewire/client";
import { useEffect, useRef, useState } from "react";

import type { Announce } from "./announcer.js";
import { describeSessionChange, describeStatus, type StatusText } from "./status-text.js";

/** States that pass within this time are not said. */
const SETTLE_MS = 600;

/** Tries that fail one after the other are one state. */
export function phaseOf(status: ConnectionStatus): string {
  if (status.name === "connecting") return status.tries > 1 ? "reconnecting" : "connecting";
  return status.name === "live" && status.isPolling ? "polling" : status.name;
}

export function useAnnouncedStatus(status: ConnectionStatus, announce: Announce): StatusText {
  const text = describeStatus(status);
  const phase = phaseOf(status);
  const said = useRef("connecting");
  const words = `${text.sentence} ${text.more}`.trim();
  const newestWords = useRef(words);
  useEffect(() => {
    newestWords.current = words;
  });
  useEffect(() => {
    if (said.current === phase) return;
    const timer = setTimeout(() => {
      said.current = phase;
      announce(newestWords.current);
    }, SETTLE_MS);
    return () => clearTimeout(timer);
  }, [phase, announce]);

  const mark = text.isLive ? "yes" : text.tone === "busy" ? "pending" : "no";
  useEffect(() => {
    document.documentElement.dataset.live = mark;
  }, [mark]);
  return text;
}

/** The last change of the account in words, until it is dismissed. */
export function useAccountNotice(session: SessionState, announce: Announce) {
  const before = useRef<SessionState | null>(null);
  const [notice, setNotice] = useState<string | null>(null);
  useEffect(() => {
    // What was known last counts, not that it was unknown for a while.
    if (session.name === "loading" || session.name === "unreachable") return;
    const change = describeSessionChange(before.current, session);
    const isSwitch = before.current?.name === "signed-in" && session.name === "signed-in";
    before.current = session;
    if (change === null) return;
    announce(change);
    // Whoever signs in by the dialog knows it; anything else may have happened in another tab.
    setNotice(session.name === "signed-in" && !isSwitch ? null : change);
  }, [session, announce]);
  return { notice, dismiss: () => setNotice(null) };
}
