/** The script of the shared worker: one stream for all tabs of a browser. */

import { browserHubEnvironment } from "./hub/environment.js";
import { browserLocks } from "./sharing/environment.js";
import { WorkerHub } from "./sharing/worker-hub.js";
import { connect } from "./tapewire.js";

interface ConnectEvent extends Event {
  readonly ports: readonly MessagePort[];
}

const hub = new WorkerHub(browserHubEnvironment(connect), browserLocks());

globalThis.addEventListener("connect", (event) => {
  const port = (event as ConnectEvent).ports[0];
  if (port === undefined) return;
  const receive = hub.connect((message) => port.postMessage(message));
  port.onmessage = ({ data }) => receive(data);
});
