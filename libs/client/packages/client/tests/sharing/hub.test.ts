/** A hub never continues one user's views for another one. */

import { expect, test } from "vitest";

import { GATHER_MS } from "../../src/hub/gathering.js";
import type { HubMessage, TabState } from "../../src/hub/messages.js";
import { Outlet } from "../../src/hub/outlets.js";
import { StreamHub } from "../../src/hub/stream-hub.js";
import { emptyView } from "../../src/topics.js";
import type { ConnectOptions } from "../../src/types.js";
import { FakeClock } from "../fakes.js";

interface Opened {
  readonly url: string;
  readonly options: ConnectOptions;
}

function hubWith(clock: FakeClock): { hub: StreamHub; opened: Opened[] } {
  const opened: Opened[] = [];
  const environment = {
    setTimeout: (run: () => void, milliseconds: number) => clock.setTimeout(run, milliseconds),
    clearTimeout: (timer: unknown) => clock.clearTimeout(timer),
    performance: clock.performance,
    now: () => clock.performance.now(),
    random: () => 0.5,
    connect: (url: string, options: ConnectOptions) => {
      opened.push({ url, options });
      return { lastEventId: options.lastEventId, close() {}, retryNow() {}, skipTo() {} };
    },
  };
  const hub = new StreamHub({
    environment: environment as never,
    baseUrl: "",
    usesToken: false,
    term: 1,
    countTabs: () => Promise.resolve(null),
  });
  return { hub, opened };
}

function state(tab: string, userId: string, at: number, has: readonly string[]): TabState {
  return {
    kind: "tab",
    tab,
    presence: tab,
    wants: ["orders"],
    needs: ["orders"],
    isNew: true,
    position: has.length > 0 ? "e-5" : "",
    has,
    user: { userId, at },
    isVisible: true,
    offersToAnnounce: false,
  };
}

const seed = { orders: { ...emptyView("orders", "e-5"), phase: "complete" as const } };

/** The `lastEventId` of the first stream, after a tab with dave's orders and another one came. */
async function resumedAt(otherUser: string, seedsFirst: boolean): Promise<string | undefined> {
  const clock = new FakeClock();
  const { hub, opened } = hubWith(clock);
  const sent: HubMessage[] = [];
  const outlet = new Outlet("port", (message) => sent.push(message));
  hub.receive(state("a", "dave", 1, ["orders"]), outlet);
  if (!seedsFirst) hub.receive(state("b", otherUser, 2, []), outlet);
  await clock.advance(GATHER_MS + 1);
  hub.receive({ kind: "seed", tab: "a", views: seed }, outlet);
  if (seedsFirst) hub.receive(state("b", otherUser, 2, []), outlet);
  await clock.advance(GATHER_MS + 1);
  hub.close();
  return opened.at(-1)?.options.lastEventId;
}

test.each([
  ["of another user before the views come", "erin", false, ""],
  ["of another user after the views came", "erin", true, ""],
  ["of the same user before the views come", "dave", false, "e-5"],
  ["of the same user after the views came", "dave", true, "e-5"],
])(
  "with a tab %s, the stream of %s resumes only the views of that user",
  async (_, user, seedsFirst, expected) => {
    expect(await resumedAt(user, seedsFirst)).toBe(expected);
  },
);
