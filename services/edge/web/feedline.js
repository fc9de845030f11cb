/**
 * How the items come: in the bar as one word, and, while anything is wrong, in a strip below it in
 * full. The seconds are for the eye only: a screen reader hears each state once.
 */

import { find, say, write } from "./dom.js";

/** @typedef {import("/client/fallback.js").State | {name: "paused"}} State */
/**
 * What is said of a state: `word` in the bar; `title` and `more` in the strip, "" for none.
 * `waitMs` is until the stream is tried again, null when nobody waits for that.
 *
 * @typedef {{state: string, word: string, title: string, more: string, waitMs: number | null}} Said
 */

/**
 * Pure.
 *
 * @param {State} state
 * @returns {Said}
 */
export function inWords(state) {
  const calm = { title: "", more: "", waitMs: null };
  switch (state.name) {
    case "live":
      return { ...calm, state: "live", word: "Connected" };
    case "connecting":
      return { ...calm, state: "connecting", word: "Connecting" };
    case "paused":
      return { ...calm, state: "paused", word: "Paused" };
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
        more: polled(state),
        waitMs: state.retryInMs,
      };
    case "signed-out":
      return { ...calm, state: "signed-out", word: "Signed out" };
    default:
      return { ...calm, state: "closed", word: "Stopped", title: "Stopped.", more: state.reason };
  }
}

/** @param {Extract<State, {name: "polling"}>} state */
function polled({ everyMs, failing, retryInMs }) {
  const seconds = Math.round(everyMs / 1000);
  const asked = failing
    ? `It is asked every ${seconds} seconds; what is shown is from before.`
    : `New items are asked for every ${seconds} seconds.`;
  return retryInMs === null ? asked : `${asked} The stream is tried again`;
}

/** @returns {(state: State) => void} */
export function feedLine() {
  const line = find("#feed-state");
  const [word, brief] = [find(".link-words", line), find(".link-wait", line)];
  const [strip, title, more, wait] = ["#strip", "#strip-title", "#strip-more", "#strip-wait"].map(
    (selector) => find(selector),
  );
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let ticking;

  return function show(state) {
    clearInterval(ticking);
    const said = inWords(state);
    line.dataset.state = said.state;
    line.title = "reason" in state ? state.reason : "";
    write(word, said.word);
    strip.dataset.state = said.state;
    strip.hidden = said.title === "";
    write(title, said.title);
    write(more, said.more);
    write(wait, "");
    say(brief, "");
    if (said.waitMs === null) return;
    const until = performance.now() + said.waitMs;
    const countDown = () => {
      const seconds = Math.ceil((until - performance.now()) / 1000);
      const told = seconds > 0 ? ` in ${seconds} s` : " now";
      write(wait, `${told}.`);
      say(brief, said.state === "reconnecting" ? told : "");
    };
    countDown();
    ticking = setInterval(countDown, 250);
  };
}
