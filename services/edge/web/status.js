/**
 * The state of one stream in words, with a dot, and with seconds until the next try. The seconds
 * are for the eye only: a screen reader hears each state once.
 */

import { find, write } from "./dom.js";

/** @typedef {import("/client/tapewire.js").State} State */

const WORDS = {
  connecting: "connecting",
  live: "live",
  reconnecting: "reconnecting",
  "signed-out": "signed out",
  closed: "closed",
  paused: "paused",
};

/** @param {string} selector  an element with the parts that index.html gives a `.link` */
export function stateLine(selector) {
  const line = find(selector);
  const words = find(".link-words", line);
  const wait = find(".link-wait", line);
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let ticking;

  /** @param {number} until  milliseconds, as of performance.now() */
  function countDown(until) {
    const seconds = Math.ceil((until - performance.now()) / 1000);
    write(wait, seconds > 0 ? ` in ${seconds} s` : "");
  }

  /** @param {State | {name: "paused"}} state */
  return function show(state) {
    clearInterval(ticking);
    write(wait, "");
    const again = state.name === "connecting" && state.tries > 0;
    line.dataset.state = again ? "reconnecting" : state.name;
    line.title = "reason" in state ? state.reason : "";
    write(words, again ? WORDS.reconnecting : WORDS[state.name]);
    if (state.name === "reconnecting") {
      const until = performance.now() + state.retryInMs;
      countDown(until);
      ticking = setInterval(() => countDown(until), 250);
    }
  };
}
