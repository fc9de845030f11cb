/** Types of the client's interface. This module has no code. */

/**
 * @typedef {object} StreamEvent
 * @property {string} type      "order:update", "price:update", …
 * @property {any} data         decoded JSON, or the text when it is not JSON
 * @property {string | null} id null on conflated events, which have no position
 */

/**
 * @typedef {object} Options
 * @property {(event: StreamEvent) => void} onEvent not awaited; an error that it throws is
 *   reported, and the stream continues
 * @property {((state: import("./response-outcome.js").State) => void)=} onState
 * @property {string=} lastEventId  resume after this id instead of starting with a snapshot
 * @property {string=} user  the user whom the stream is meant for: the state is `signed-out` when
 *   another one is signed in
 * @property {Record<string, string>=} headers  sent with every request, for example Authorization
 * @property {RequestCredentials=} credentials  "same-origin" by default
 * @property {number=} keepaliveMs
 * @property {typeof globalThis.fetch=} fetch
 * @property {import("./inactivity-timeout.js").Clock=} clock
 * @property {(() => number)=} random  in [0, 1)
 */

export {};
