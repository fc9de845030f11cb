/** What a tab shows of the connection: the hub's status while it hears the hub, and stale otherwise. */

import type { HubHeader } from "../hub/messages.js";
import type { ConnectionInfo, ConnectionStatus, StreamReset, Transport } from "../interfaces.js";
import { isSilent, type Liveness } from "./liveness.js";
import { PlainValue } from "./value.js";

export class TabStatus implements Omit<ConnectionInfo, "retryNow"> {
  readonly status = new PlainValue<ConnectionStatus>({ name: "connecting", tries: 0 });
  readonly lastEventAt = new PlainValue<number | null>(null);
  readonly lastReset = new PlainValue<StreamReset | null>(null);
  readonly transport = new PlainValue<Transport>("none");
  readonly isLive = new PlainValue(false);

  /**
   * @param header  of the last message that was applied; null before the first one
   * @param isFollowing  whether the views are those of the hub
   */
  show(header: HubHeader | null, isFollowing: boolean, liveness: Liveness, now: number): void {
    const status = statusOf(header, isFollowing && !isSilent(liveness, now), liveness.heardAt);
    this.isLive.set(status.name === "live");
    this.status.set(status);
    if (header === null) return;
    this.lastEventAt.set(header.lastEventAt);
    this.lastReset.set(header.lastReset);
  }
}

function statusOf(
  header: HubHeader | null,
  isHeard: boolean,
  heardAt: number | null,
): ConnectionStatus {
  if (header === null) return { name: "connecting", tries: 0 };
  return isHeard ? header.status : { name: "stale", since: heardAt ?? header.sentAt };
}
