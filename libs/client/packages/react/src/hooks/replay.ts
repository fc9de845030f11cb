/** The past of the user, for a time slider. */

import type { Replay, ReplayMoment, ReplayOptions, ReplayStatus } from "@tapewire/client";
import { useEffect, useState } from "react";
import { useTapewire } from "../provider.js";
import { useSession } from "./account.js";
import { useReadable } from "./stores.js";
import { userOf } from "./user.js";

const LOADING: ReplayStatus = { name: "loading", received: 0 };
const NOT_STARTED = { get: (): ReplayStatus => LOADING, subscribe: () => () => {} };
const NO_TIMES: readonly number[] = [];

export interface ReplayState {
  /** How far it is loaded: the component renders with it. */
  readonly status: ReplayStatus;
  /** Epoch milliseconds of each event, in order. */
  readonly times: readonly number[];
  /** How it was at a time, in epoch milliseconds; null before it has begun to load. */
  readonly at: (time: number) => ReplayMoment | null;
  /** How it was after the first `count` events; null before it has begun to load. */
  readonly after: (count: number) => ReplayMoment | null;
}

/**
 * What happened to the user in a time. It is loaded anew for another time, other topics or another
 * user, and given up when the component unmounts.
 *
 * @param options  null: nothing is loaded
 */
export function useReplay(options: ReplayOptions | null): ReplayState {
  const client = useTapewire();
  const current = userOf(useSession());
  const [userId, setUserId] = useState(current ?? null);
  if (current !== undefined && current !== userId) setUserId(current); // else it stays for now
  const [replay, setReplay] = useState<Replay | null>(null);
  // Two objects with the same content are the same replay.
  const content = options === null || userId === null ? null : JSON.stringify([userId, options]);
  useEffect(() => {
    if (content === null) return;
    const [, wanted] = JSON.parse(content) as [string, ReplayOptions];
    const started = client.replay(wanted);
    setReplay(started);
    return () => {
      started.close();
      setReplay(null);
    };
  }, [client, content]);
  const status = useReadable(replay?.status ?? NOT_STARTED, LOADING);
  return {
    status,
    times: replay?.times ?? NO_TIMES,
    at: (time) => replay?.at(time) ?? null,
    after: (count) => replay?.after(count) ?? null,
  };
}
