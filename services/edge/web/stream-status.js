/**
 * The status of one stream: a coloured dot, a label, and the seconds until the next try. The
 * countdown is hidden from screen readers, which announce each state once.
 */

import { find, setText } from "./dom.js";

/** @typedef {import("/client/tapewire.js").State} State */

const STATE_LABELS = {
  connecting: "connecting",
  live: "live",
  stale: "prices not live",
  reconnecting: "reconnecting",
  "signed-out": "signed out",
  closed: "closed",
  paused: "paused",
};

/**
 * @param {string} selector  an element with the class `link` and the parts of one in index.html
 * @returns {(state: State | {name: "paused" | "stale"}) => void}  shows a state on the page
 */
export function createStreamStatus(selector) {
  const status = find(selector);
  const label = find(".link-words", status);
  const wait = find(".link-wait", status);
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let countdownTimer;

  /** @param {number} retryAt  in milliseconds of `performance.now()` */
  function showCountdown(retryAt) {
    const seconds = Math.ceil((retryAt - performance.now()) / 1000);
    setText(wait, seconds > 0 ? ` in ${seconds} s` : "");
  }

  return function show(state) {
    clearInterval(countdownTimer);
    setText(wait, "");
    const isRetry = state.name === "connecting" && state.tries > 0;
    status.dataset.state = isRetry ? "reconnecting" : state.name;
    status.title = "reason" in state ? state.reason : "";
    setText(label, isRetry ? STATE_LABELS.reconnecting : STATE_LABELS[state.name]);
    if (state.name === "reconnecting") {
      const retryAt = performance.now() + state.retryInMs;
      showCountdown(retryAt);
      countdownTimer = setInterval(() => showCountdown(retryAt), 250);
    }
  };
}
