/**
 * One stream for all tabs of a browser, which keeps six connections to a server at the most.
 *
 * The tab that holds a lock has the stream and tells the others what it brings; when it goes, the
 * lock, and with it the stream, is another tab's, which goes on from its own place. Where there are
 * no locks (plain HTTP, but for this machine itself) every tab has a stream of its own.
 */

import { connect } from "/client/tapewire.js";

/** @typedef {import("/client/tapewire.js").Connection} Connection */
/** @typedef {import("/client/tapewire.js").State} State */
/** @typedef {import("/client/tapewire.js").StreamEvent} StreamEvent */
/**
 * @typedef {object} Options
 * @property {string} name  the same on all tabs that share, and on no others
 * @property {() => string} place  the id to go on from
 * @property {(event: StreamEvent) => void} onEvent
 * @property {(state: State) => void} onState
 */

/**
 * @param {string} url
 * @param {Options} options
 */
export function sharedStream(url, { name, place, onEvent, onState }) {
  const alone = navigator.locks === undefined;
  const channel = alone ? null : new BroadcastChannel(name);
  const waiting = new AbortController();
  /** @type {Connection | null} */
  let stream = null;
  /** @type {State} */
  let state = { name: "connecting", tries: 0 };
  let over = false;
  let release = () => {};

  function end() {
    over = true;
    waiting.abort();
    channel?.close();
    release();
  }

  /** @param {State} next */
  function enter(next) {
    if (over) return;
    state = next;
    onState(next);
    // Final on one tab is final on all: another one would be told the same.
    if (next.name === "closed" || next.name === "signed-out") end();
  }

  /** @param {State} next */
  function enterAll(next) {
    // An error has a class, which does not travel.
    const told = next.name === "closed" ? { ...next, error: null } : next;
    if (!over) channel?.postMessage({ kind: "state", state: told });
    enter(next);
  }

  /** @returns {Promise<void>} until the stream is over */
  function lead() {
    if (over) return Promise.resolve();
    stream = connect(url, {
      lastEventId: place(),
      onEvent(event) {
        if (over) return;
        channel?.postMessage({ kind: "event", event });
        onEvent(event);
      },
      onState: enterAll,
    });
    return new Promise((resolve) => (release = resolve));
  }

  if (channel) {
    channel.onmessage = ({ data }) => {
      if (data.kind === "hello" && stream) channel.postMessage({ kind: "state", state });
      if (data.kind === "event" && !stream) onEvent(data.event);
      if (data.kind === "state" && !stream) enter(data.state);
    };
    channel.postMessage({ kind: "hello" });
    const { signal } = waiting;
    navigator.locks.request(name, { signal }, lead).catch((error) => {
      if (!over) throw error;
    });
  } else {
    void lead();
  }

  return {
    /** Stop here; the other tabs go on. */
    close() {
      end();
      stream?.close();
    },
    get live() {
      return state.name === "live";
    },
  };
}
