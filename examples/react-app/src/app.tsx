/** Signs in with a token, and shows the page of whoever it belongs to. */

import { createTapewire, type TapewireClient } from "@tapewire/client";
import workerUrl from "@tapewire/client/worker?worker&url";
import { TapewireProvider } from "@tapewire/react";
import { useState } from "react";

import { Desk } from "./desk";
import { SignIn } from "./sign-in";

/** The edge; this page may be served from another origin, which TAPEWIRE_ORIGINS must list. */
const EDGE: string = import.meta.env.VITE_TAPEWIRE_URL ?? "http://127.0.0.1:8000";

export function App() {
  const [client, setClient] = useState<TapewireClient | null>(null);

  function signIn(token: string): void {
    // A real application returns a fresh token here: it is asked again before the token expires.
    setClient(createTapewire({ baseUrl: EDGE, token: () => token, workerUrl }));
  }

  function signOut(): void {
    client?.close();
    setClient(null);
  }

  if (!client) return <SignIn onToken={signIn} />;
  return (
    <TapewireProvider client={client}>
      <Desk onSignOut={signOut} />
    </TapewireProvider>
  );
}
