/**
 * The client that applications use: one for each page.
 *
 *     const client = createTapewire({ workerUrl: "/worker.js" });
 *     const stop = client.prices.subscribe("SPY", () => show(client.prices.get("SPY")));
 *
 * It puts the parts together: the session, the tab's way to the one connection of the browser, the
 * stores over its topics, and the calls.
 */

import type { HubMessage } from "./hub/messages.js";
import { PROTOCOL } from "./hub/messages.js";
import type { CallOptions, TapewireClient, TapewireOptions } from "./interfaces.js";
import { EventReplay } from "./replay.js";
import { call, type Method } from "./rest.js";
import { Session } from "./session.js";
import { browserEnvironment, type TabEnvironment } from "./sharing/environment.js";
import { LeaderLink } from "./sharing/leader-link.js";
import type { CreateLink } from "./sharing/link.js";
import { type HubSettings, OwnLink } from "./sharing/own-link.js";
import { Tab } from "./sharing/tab.js";
import { WorkerLink } from "./sharing/worker-link.js";
import { createStores } from "./stores/index.js";

export type { HubMessage };

/** A client of a page. It begins at once to find out who is signed in. */
export function createTapewire(options: TapewireOptions = {}): TapewireClient {
  return createClient(options, browserEnvironment(options.fetch));
}

/** As `createTapewire`, with the browser that a test has made. */
export function createClient(
  options: TapewireOptions,
  environment: TabEnvironment,
): TapewireClient {
  const { baseUrl = "", token } = options;
  const settings: HubSettings = { baseUrl, usesToken: token !== undefined };
  // Pages with tokens and pages with the cookie may be of different users.
  const scope = `tapewire ${PROTOCOL} ${settings.usesToken ? "token" : "cookie"} ${baseUrl}`;

  const request = <T>(
    method: string,
    path: string,
    body?: unknown,
    { signal, headers, idempotencyKey, user }: CallOptions = {},
  ): Promise<T> => {
    const { fetch } = environment;
    return call<T>(method as Method, `${baseUrl}${path}`, body, {
      signal,
      headers,
      idempotencyKey,
      user,
      token,
      fetch,
    });
  };

  const session = new Session({
    environment,
    channelName: `${scope} session`,
    call: request,
    onReport: (report) => tab.setUser(report),
  });
  const tab = new Tab({
    environment,
    links: linksOf(options, scope, settings, environment),
    token,
    onOtherUser: () => session.follow(),
  });

  const callAsUser = async <T>(
    method: string,
    path: string,
    body?: unknown,
    callOptions: CallOptions = {},
  ): Promise<T> => {
    const user = callOptions.user ?? session.userId;
    try {
      return await request<T>(
        method,
        path,
        body,
        user === null ? callOptions : { ...callOptions, user },
      );
    } catch (error) {
      session.onCallError(error);
      throw error;
    }
  };

  const { close: closeStores, ...stores } = createStores({
    source: tab,
    call: callAsUser,
    now: () => environment.now(),
  });
  return {
    ...stores,
    session: session.state,
    connection: tab.connection,
    call: callAsUser,
    replay: (replayOptions) => {
      const { connect, fetch } = environment;
      const user = session.userId;
      return new EventReplay({ connect, baseUrl, user, token, fetch }, replayOptions);
    },
    signIn: (userId, roles) => session.signIn(userId, roles),
    signOut: () => session.signOut(),
    close() {
      closeStores();
      session.close();
      tab.close();
    },
  };
}

/** The ways to the hub that the options allow, the preferred one first. */
function linksOf(
  { sharing = "auto", workerUrl, fetch }: TapewireOptions,
  scope: string,
  settings: HubSettings,
  environment: TabEnvironment,
): CreateLink[] {
  const links: CreateLink[] = [];
  // A function cannot be given to a worker.
  const canUseWorker = workerUrl !== undefined && fetch === undefined;
  if (canUseWorker && (sharing === "auto" || sharing === "worker")) {
    links.push(
      (listener, presence) =>
        new WorkerLink(scope, workerUrl, settings, environment, listener, presence),
    );
  }
  if (sharing === "auto" || sharing === "leader") {
    links.push(
      (listener, presence) => new LeaderLink(scope, settings, environment, listener, presence),
    );
  }
  return [...links, (listener) => new OwnLink(settings, environment, listener)];
}
