/** A client with real stores over a source that a test controls, and a page that renders with it. */

import type {
  ConnectionStatus,
  ConnectOptions,
  connect,
  Replay,
  ReplayOptions,
  SessionState,
  TapewireClient,
} from "@tapewire/client";
import { act, cleanup, type RenderResult, render } from "@testing-library/react";
import { type ReactNode, StrictMode } from "react";
import { afterEach } from "vitest";
import { EventReplay } from "../../client/src/replay.js";
import { createStores } from "../../client/src/stores/index.js";
import { Value } from "../../client/src/stores/readable.js";
import { FakeCalls, FakeSource } from "../../client/tests/fake-source.js";
import { TapewireProvider } from "../src/index.js";

export class TestClient {
  readonly source = new FakeSource();
  readonly calls = new FakeCalls();
  readonly session = new Value<SessionState>({
    name: "signed-in",
    userId: "alice",
    roles: [],
    expiresAt: null,
  });
  readonly status = new Value<ConnectionStatus>({ name: "live", isPolling: false });
  readonly client: TapewireClient;
  readonly replays: { readonly options: ReplayOptions; readonly replay: Replay }[] = [];
  /** The stream of the last replay, and how many are open. */
  replayStream: ConnectOptions | null = null;
  openReplays = 0;
  readonly #replayConnection = {
    connect: ((_: string, options: ConnectOptions) => {
      this.replayStream = options;
      this.openReplays += 1;
      return {
        close: () => {
          this.openReplays -= 1;
        },
      };
    }) as unknown as typeof connect,
    baseUrl: "",
    user: "alice",
  };

  constructor() {
    const { source, calls, session, status } = this;
    this.client = {
      ...createStores({ source, call: calls.call, now: Date.now }),
      session,
      connection: {
        status,
        lastEventAt: new Value<number | null>(null),
        lastReset: new Value(null),
        transport: new Value("own" as const),
        retryNow: () => {},
      },
      call: calls.call,
      replay: (options) => {
        const replay = new EventReplay(this.#replayConnection, options);
        this.replays.push({ options, replay });
        return replay;
      },
      signIn: () => Promise.reject(new Error("not in tests")),
      signOut: () => Promise.reject(new Error("not in tests")),
    };
  }

  /** Render in StrictMode, which mounts everything twice. */
  render(page: ReactNode): RenderResult {
    const wrapper = ({ children }: { children: ReactNode }): ReactNode => (
      <StrictMode>
        <TapewireProvider client={this.client}>{children}</TapewireProvider>
      </StrictMode>
    );
    return render(page, { wrapper });
  }

  /** Events of the stream, in one frame. */
  send(...events: Parameters<FakeSource["send"]>): void {
    act(() => this.source.send(...events));
  }
}

afterEach(cleanup);
