/** What sharing needs of a browser, replaceable in tests. */

import { browserHubEnvironment, type HubEnvironment } from "../hub/environment.js";
import type { Unsubscribe } from "../interfaces.js";
import { connect } from "../tapewire.js";

/** A channel to the other tabs of the origin, or the port of a worker. */
export interface MessageLink {
  post(message: unknown): void;
  close(): void;
}

export interface Locks {
  /**
   * Run `hold` while the lock is held, until its promise is fulfilled.
   *
   * @returns fulfilled afterwards; rejected when the lock is stolen, or the request aborted
   */
  request(
    name: string,
    options: { readonly steal?: boolean; readonly signal?: AbortSignal },
    hold: () => Promise<void>,
  ): Promise<void>;
  /** The names of the locks that are held. */
  held(): Promise<readonly string[]>;
}

/** What happens to the page of a tab. */
export type PageEvent =
  | "visibility"
  /** It is frozen, or goes into the back/forward cache, or ends. */
  | "leave"
  | "return";

export interface TabEnvironment extends HubEnvironment {
  readonly tabId: string;
  readonly locks: Locks | null;
  /** null: the browser has no channels. */
  openChannel(name: string, onMessage: (message: unknown) => void): MessageLink | null;
  /**
   * @param onError  the worker's script cannot be loaded
   * @returns null: the browser has no shared workers
   */
  openWorker(
    url: string | URL,
    name: string,
    onMessage: (message: unknown) => void,
    onError: () => void,
  ): MessageLink | null;
  /** A value that all tabs of the origin share; null without one, or without storage. */
  readShared(key: string): string | null;
  writeShared(key: string, value: string): void;
  isVisible(): boolean;
  onPageEvent(listener: (event: PageEvent) => void): Unsubscribe;
}

export function browserEnvironment(fetch?: typeof globalThis.fetch): TabEnvironment {
  return {
    ...browserHubEnvironment(connect, fetch),
    tabId: randomId(),
    locks: browserLocks(),
    openChannel,
    openWorker,
    readShared(key) {
      try {
        return globalThis.localStorage?.getItem(key) ?? null;
      } catch {
        return null; // storage is blocked
      }
    },
    writeShared(key, value) {
      try {
        globalThis.localStorage?.setItem(key, value);
      } catch {
        // Storage is blocked, or full: tabs then find out by themselves.
      }
    },
    isVisible: () => globalThis.document?.visibilityState !== "hidden",
    onPageEvent,
  };
}

function randomId(): string {
  return [...crypto.getRandomValues(new Uint8Array(12))]
    .map((byte) => byte.toString(36).padStart(2, "0"))
    .join("");
}

/** Null where the browser has no locks: over plain HTTP, except on localhost. */
export function browserLocks(): Locks | null {
  const { locks } = globalThis.navigator ?? {};
  if (locks === undefined) return null;
  return {
    // A stolen lock and a signal exclude each other.
    request: async (name, { steal, signal }, hold) => {
      await locks.request(name, steal ? { steal } : signal ? { signal } : {}, hold);
    },
    held: async () => ((await locks.query()).held ?? []).map((lock) => lock.name ?? ""),
  };
}

function openChannel(name: string, onMessage: (message: unknown) => void): MessageLink | null {
  if (globalThis.BroadcastChannel === undefined) return null;
  const channel = new BroadcastChannel(name);
  channel.onmessage = ({ data }) => onMessage(data);
  return { post: (message) => channel.postMessage(message), close: () => channel.close() };
}

function openWorker(
  url: string | URL,
  name: string,
  onMessage: (message: unknown) => void,
  onError: () => void,
): MessageLink | null {
  if (globalThis.SharedWorker === undefined) return null;
  let worker: SharedWorker;
  try {
    worker = new SharedWorker(trustedWorkerUrl(url), { name, type: "module" });
  } catch {
    return null; // a policy of the page forbids it
  }
  worker.onerror = onError;
  worker.port.onmessage = ({ data }) => onMessage(data);
  return {
    post: (message) => worker.port.postMessage(message),
    close() {
      worker.onerror = null;
      worker.port.onmessage = null;
      worker.port.close();
    },
  };
}

interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL(url: string): string },
  ): { createScriptURL(url: string): string };
}

/** The URLs that the policy has let through, by URL: a page can have only one policy of a name. */
let policy: { createScriptURL(url: string): string } | null = null;
const workerUrls = new Set<string>();

/** `url` as a page with Trusted Types accepts it: by the policy `tapewire`. */
function trustedWorkerUrl(url: string | URL): string {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
  if (trustedTypes === undefined) return String(url);
  workerUrls.add(String(url));
  policy ??= trustedTypes.createPolicy("tapewire", {
    createScriptURL(asked) {
      if (!workerUrls.has(asked))
        throw new TypeError(`${asked} is not the URL of the shared worker`);
      return asked;
    },
  });
  return policy.createScriptURL(String(url));
}

function onPageEvent(listener: (event: PageEvent) => void): Unsubscribe {
  const { window: page, document: shown } = globalThis as Partial<typeof globalThis>;
  if (page === undefined || shown === undefined) return () => {};
  const controller = new AbortController();
  const { signal } = controller;
  shown.addEventListener("visibilitychange", () => listener("visibility"), { signal });
  shown.addEventListener("freeze", () => listener("leave"), { signal });
  shown.addEventListener("resume", () => listener("return"), { signal });
  page.addEventListener("pagehide", () => listener("leave"), { signal });
  page.addEventListener("pageshow", (event) => event.persisted && listener("return"), { signal });
  return () => controller.abort();
}
