import type { ConnectionStatus } from "@tapewire/client";
import { useConnection } from "@tapewire/react";

/** Says in words whether the page is current. */
export function Connection() {
  const status = useConnection();
  return <p role="status">{describe(status)}</p>;
}

function describe(status: ConnectionStatus): string {
  switch (status.name) {
    case "live":
      return status.isPolling ? "Live, by polling" : "Live";
    case "connecting":
      return "Connecting";
    case "catching-up":
      return `Catching up: ${status.received} events`;
    case "stale":
      return `Nothing since ${new Date(status.since).toLocaleTimeString()}: prices are old`;
    case "reconnecting":
      return `Reconnecting: ${status.reason}`;
    case "signed-out":
    case "refused":
      return `Not connected: ${status.reason}`;
  }
}
