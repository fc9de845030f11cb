/** The one stream of a hub, where something on the way holds streams back so that it polls. */

import { expect, test } from "vitest";

import { Upstream } from "../../src/hub/upstream.js";
import type { ConnectOptions, State } from "../../src/types.js";
import { FakeClock } from "../fakes.js";

class FakeConnection {
  lastEventId: string;
  isClosed = false;

  constructor(
    readonly url: string,
    readonly options: ConnectOptions,
  ) {
    this.lastEventId = options.lastEventId ?? "";
  }

  close(): void {
    this.isClosed = true;
  }

  retryNow(): void {}

  skipTo(id: string): void {
    this.lastEventId = id;
  }

  /** It is live, with everything that it opens with. */
  open(state: State): void {
    this.options.onState?.(state);
    this.options.onEvent({ type: "connected", data: {}, id: null });
    this.options.onCaughtUp?.();
  }
}

const POLLS: State = { name: "live", isPolling: true };
const STREAMS: State = { name: "live" };

function opened(state: State) {
  const clock = new FakeClock();
  const made: FakeConnection[] = [];
  const environment = {
    setTimeout: (run: () => void, milliseconds: number) => clock.setTimeout(run, milliseconds),
    clearTimeout: (timer: unknown) => clock.clearTimeout(timer),
    now: () => clock.performance.now(),
    random: () => 0.5,
    connect: (url: string, options: ConnectOptions) => {
      made.push(new FakeConnection(url, options));
      return made.at(-1);
    },
  };
  const upstream = new Upstream({
    baseUrl: "",
    environment: environment as never,
    user: null,
    token: undefined,
    onEvent: () => {},
    onStatus: () => {},
    onAdding: () => {},
    onShown: () => {},
    onRestart: () => {},
  });
  upstream.open(["prices"], "");
  made[0]?.open(state);
  return { upstream, made, last: () => made.at(-1) as FakeConnection };
}

test("after sleep, polls that are answered again end the doubt about what came before", () => {
  const { upstream, made, last } = opened(POLLS);
  upstream.distrust(0);
  expect([upstream.status().name, made.length]).toEqual(["stale", 2]);
  last().open(POLLS);
  expect(upstream.status()).toEqual({ name: "live", isPolling: true });
  expect(made.map(({ isClosed }) => isClosed)).toEqual([true, false]);
  upstream.close();
});

test("a change of topics where streams are held back goes on polling", () => {
  const { upstream, made, last } = opened(POLLS);
  upstream.setTopics(["items", "prices"]);
  expect([made.length, last().options.polls, last().options.lastEventId]).toEqual([2, true, ""]);
  last().open(POLLS);
  expect(upstream.status()).toEqual({ name: "live", isPolling: true });
  upstream.close();
});

test("after sleep, a stream that comes through takes the place of polls", () => {
  const { upstream, made, last } = opened(POLLS);
  upstream.distrust(0);
  last().open(STREAMS);
  expect(upstream.status()).toEqual({ name: "live", isPolling: false });
  expect(made[0]?.isClosed).toBe(true);
  upstream.close();
});

test("a second connection that is held back takes no stream's place", () => {
  const { upstream, made, last } = opened(STREAMS);
  upstream.distrust(0);
  last().open(POLLS);
  expect(upstream.status().name).toBe("stale");
  expect(made.map(({ isClosed }) => isClosed)).toEqual([false, true]);
  upstream.close();
});
