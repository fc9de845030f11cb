/** Gives a client to the hooks below. */

import type { TapewireClient } from "@tapewire/client";
import { createContext, type ReactNode, useContext } from "react";

const ClientContext = createContext<TapewireClient | null>(null);

export interface TapewireProviderProps {
  /** Made once, outside of components, and closed by who made it. */
  readonly client: TapewireClient;
  readonly children?: ReactNode;
}

export function TapewireProvider({ client, children }: TapewireProviderProps): ReactNode {
  return <ClientContext.Provider value={client}>{children}</ClientContext.Provider>;
}

/**
 * The client, for calls and stores without a hook of their own.
 *
 * @throws Error  outside of a `TapewireProvider`
 */
export function useTapewire(): TapewireClient {
  const client = useContext(ClientContext);
  if (client === null) throw new Error("a hook of Tapewire is used outside of <TapewireProvider>");
  return client;
}
