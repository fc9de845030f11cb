/**
 * Whether a tab hears its hub, as pure functions of what happens when.
 *
 * Silence is measured by the wall clock, which goes on while the machine sleeps: prices from before
 * are old. A tab that was not running itself may have messages that wait, so it seeks another hub
 * only after it has run for some time without hearing.
 */

import { PING_MS, SILENCE_MS } from "../hub/messages.js";

/** At most so much of the time between two ticks counts as time that the tab has run. */
export const MAX_TICK_MS = 500;

export interface Liveness {
  /** Epoch milliseconds of the last message that was sent just before; null: none yet. */
  readonly heardAt: number | null;
  readonly tickAt: number;
  /** For how long the tab has run without hearing. */
  readonly runMs: number;
  readonly pingedAt: number;
}

export interface Tick {
  readonly liveness: Liveness;
  readonly shouldPing: boolean;
  readonly shouldSeek: boolean;
}

export function beginListening(now: number): Liveness {
  return { heardAt: null, tickAt: now, runMs: 0, pingedAt: -Infinity };
}

/** @param sentAt  when the hub sent the message; one that was held up says nothing of now */
export function afterMessage(before: Liveness, sentAt: number, now: number): Liveness {
  if (Math.abs(now - sentAt) > SILENCE_MS) return before;
  return { ...before, heardAt: now, tickAt: now, runMs: 0 };
}

/** @param startMs  how long the first message of a hub may take */
export function afterTick(before: Liveness, now: number, startMs: number): Tick {
  const passed = Math.max(now - before.tickAt, 0);
  const runMs = before.runMs + Math.min(passed, MAX_TICK_MS);
  const shouldSeek = runMs >= (before.heardAt === null ? startMs : SILENCE_MS);
  const shouldPing =
    !shouldSeek && runMs >= PING_MS && Math.abs(now - before.pingedAt) >= PING_MS / 2;
  const pingedAt = shouldPing ? now : before.pingedAt;
  return {
    liveness: { ...before, tickAt: now, runMs: shouldSeek ? 0 : runMs, pingedAt },
    shouldPing,
    shouldSeek,
  };
}

/** Whether nothing that is shown can be relied on to be current. */
export function isSilent({ heardAt }: Liveness, now: number): boolean {
  return heardAt === null || Math.abs(now - heardAt) > SILENCE_MS;
}
