/**
 * The status of the items feed: one word in the page's bar and, during a disruption, a strip below
 * it with an explanation. The countdown is hidden from screen readers, which announce each state
 * once.
 */

import { find, setMessage, setText } from "./dom.js";

/** @typedef {import("/client/fallback.js").State | {name: "paused"}} State */
/**
 * The text for a state: `word` in the bar, `title` and `more` in the strip, which is hidden for an
 * empty `title`. `waitMs` is the time until the next try of the stream, or null if none is due.
 *
 * @typedef {object} FeedStatusText
 * @property {string} state
 * @property {string} word
 * @property {string} title
 * @property {string} more
 * @property {number | null} waitMs
 */

/**
 * A pure function.
 *
 * @param {State} state
 * @returns {FeedStatusText}
 */
export function describeFeedState(state) {
  const noStrip = { title: "", more: "", waitMs: null };
  switch (state.name) {
    case "live":
      return { ...noStrip, state: "live", word: "Connected" };
    case "connecting":
      return { ...noStrip, state: "connecting", word: "Connecting" };
    case "paused":
      return { ...noStrip, state: "paused", word: "Paused" };
    case "reconnecting":
      return {
        state: "reconnecting",
        word: "Reconnecting",
        title: "The connection is lost.",
        more: `Try ${Math.min(state.tries + 1, state.of)} of ${state.of}`,
        waitMs: state.retryInMs,
      };
    case "polling":
      return {
        state: state.failing ? "failing" : "polling",
        word: state.failing ? "Not connected" : "Polling",
        title: state.failing ? "The server does not answer." : "No live stream: polling instead.",
        more: describePolling(state),
        waitMs: state.retryInMs,
      };
    case "signed-out":
      return { ...noStrip, state: "signed-out", word: "Signed out" };
    default:
      return { ...noStrip, state: "closed", word: "Stopped", title: "Stopped.", more: state.reason };
  }
}

/** @param {Extract<State, {name: "polling"}>} state */
function describePolling({ everyMs, failing, retryInMs }) {
  const seconds = Math.round(everyMs / 1000);
  const text = failing
    ? `It is asked every ${seconds} seconds; what is shown is from before.`
    : `New items are asked for every ${seconds} seconds.`;
  return retryInMs === null ? text : `${text} The stream is tried again`;
}

/** @returns {(state: State) => void}  shows a state on the page */
export function createFeedStatus() {
  const status = find("#feed-state");
  const [word, shortWait] = [find(".link-words", status), find(".link-wait", status)];
  const [strip, title, more, wait] = ["#strip", "#strip-title", "#strip-more", "#strip-wait"].map(
    (selector) => find(selector),
  );
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let countdownTimer;

  return function show(state) {
    clearInterval(countdownTimer);
    const text = describeFeedState(state);
    status.dataset.state = text.state;
    status.title = "reason" in state ? state.reason : "";
    setText(word, text.word);
    strip.dataset.state = text.state;
    strip.hidden = text.title === "";
    setText(title, text.title);
    setText(more, text.more);
    setText(wait, "");
    setMessage(shortWait, "");
    if (text.waitMs === null) return;
    const retryAt = performance.now() + text.waitMs;
    const showCountdown = () => {
      const seconds = Math.ceil((retryAt - performance.now()) / 1000);
      const countdownText = seconds > 0 ? ` in ${seconds} s` : " now";
      setText(wait, `${countdownText}.`);
      setMessage(shortWait, text.state === "reconnecting" ? countdownText : "");
    };
    showCountdown();
    countdownTimer = setInterval(showCountdown, 250);
  };
}
