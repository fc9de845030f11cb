import { createTapewire, type TapewireClient } from "@tapewire/client";

declare const __CLIENT_ID__: string;

/** The client of the page. Tabs share a worker when their pages have the same version of the client. */
export function createClient(): TapewireClient {
  return createTapewire({ workerUrl: `/worker.js?v=${__CLIENT_ID__}` });
}
