/**
 * One stream shared by all tabs of a browser, because browsers allow six connections to a server.
 *
 * The tab that holds a Web Lock is the leader: it opens the stream and broadcasts events and states
 * to the other tabs. When it closes, another tab gets the lock and resumes the stream from its own
 * last event id. Browsers have no locks over plain HTTP, except on localhost; each tab then has a
 * stream of its own.
 */

import { connect } from "/client/tapewire.js";

/** @typedef {import("/client/tapewire.js").Connection} Connection */
/** @typedef {import("/client/tapewire.js").State} State */
/** @typedef {import("/client/tapewire.js").StreamEvent} StreamEvent */
/**
 * @typedef {object} Options
 * @property {string} name  identifies the stream: tabs with the same name share it
 * @property {string} user  the user whom the stream is meant for
 * @property {() => string} lastEventId  the id to resume after
 * @property {(event: StreamEvent) => void} onEvent
 * @property {(state: State) => void} onState
 */

/**
 * @param {string} url
 * @param {Options} options
 */
export function openSharedStream(url, { name, user, lastEventId, onEvent, onState }) {
  const hasNoLocks = navigator.locks === undefined;
  const channel = hasNoLocks ? null : new BroadcastChannel(name);
  const lockRequest = new AbortController();
  /** The connection of the leader; null in other tabs. @type {Connection | null} */
  let stream = null;
  /** @type {State} */
  let state = { name: "connecting", tries: 0 };
  let isClosed = false;
  let releaseLock = () => {};

  function close() {
    isClosed = true;
    lockRequest.abort();
    channel?.close();
    releaseLock();
  }

  /** @param {State} newState */
  function setState(newState) {
    if (isClosed) return;
    state = newState;
    onState(newState);
    // A final state holds for all tabs: another leader's stream would end in the same way.
    if (newState.name === "closed" || newState.name === "signed-out") close();
  }

  /** @param {State} newState */
  function broadcastState(newState) {
    // Messages between tabs lose the class of an error.
    const sharedState = newState.name === "closed" ? { ...newState, error: null } : newState;
    if (!isClosed) channel?.postMessage({ kind: "state", state: sharedState });
    setState(newState);
  }

  /**
   * Open the stream for all tabs.
   *
   * @returns {Promise<void>}  resolves when the stream is closed, which releases the lock
   */
  function runAsLeader() {
    if (isClosed) return Promise.resolve();
    stream = connect(url, {
      user,
      lastEventId: lastEventId(),
      onEvent(event) {
        if (isClosed) return;
        channel?.postMessage({ kind: "event", event });
        onEvent(event);
      },
      onState: broadcastState,
    });
    return new Promise((resolve) => (releaseLock = resolve));
  }

  if (channel) {
    channel.onmessage = ({ data }) => {
      if (data.kind === "hello" && stream) channel.postMessage({ kind: "state", state });
      if (data.kind === "event" && !stream) onEvent(data.event);
      if (data.kind === "state" && !stream) setState(data.state);
    };
    channel.postMessage({ kind: "hello" });
    const { signal } = lockRequest;
    navigator.locks.request(name, { signal }, runAsLeader).catch((error) => {
      if (!isClosed) throw error;
    });
  } else {
    void runAsLeader();
  }

  return {
    /** Stop in this tab; the other tabs continue. */
    close() {
      close();
      stream?.close();
    },
    get isLive() {
      return state.name === "live";
    },
  };
}
