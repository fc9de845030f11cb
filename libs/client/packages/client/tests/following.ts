/** A stream with polling as its fallback, of a log that the test writes. */

import { type FollowOptions, follow, TRIES } from "../src/fallback.js";
import type { StreamEvent } from "../src/tapewire.js";
import { type Answer, connected } from "./fakes.js";

/** Longer than any wait of `follow`. */
export const LONG_ENOUGH_MS = 60_000;

/**
 * A log of items 1, 2, 3 …, read by polls and written to streams by the test.
 *
 * @param answers  to requests for the stream
 */
export async function following(answers: readonly Answer[], options: object = {}) {
  const polls: string[] = [];
  const log: { length: number; trouble: Error | null } = { length: 0, trouble: null };
  const poll = async (since: string) => {
    polls.push(since);
    if (log.trouble) throw log.trouble;
    const from = Number(since.split("-")[1] ?? 0);
    const events: StreamEvent[] = [];
    for (let n = from + 1; n <= log.length; n += 1)
      events.push({ type: "item", data: n, id: null });
    return { events, asOf: `e-${log.length}`, more: false };
  };
  const open = (all: Omit<FollowOptions, "poll">) => follow("/stream", { poll, ...all });
  const { stream: feed, ...made } = await connected(answers, options, open);
  return {
    ...made,
    feed,
    log,
    polls,
    items: () => made.events.filter(({ type }) => type === "item").map(({ data }) => data),
    now: () => made.states[made.states.length - 1],
  };
}

export async function untilPolling({
  clock,
  now,
  states,
}: Awaited<ReturnType<typeof following>>): Promise<void> {
  for (let waits = 0; now().name !== "polling"; waits += 1) {
    if (waits > TRIES + 1) throw new Error(`no polling: ${JSON.stringify(states)}`);
    await clock.advance(now().retryInMs);
  }
}
