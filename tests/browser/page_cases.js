/** The pages' logic that needs no document and no network, as cases: name → test. */

import { inWords } from "/static/feedline.js";
import { Inbox } from "/static/inbox.js";
import { shares } from "/static/metrics.js";
import { listed } from "/static/views.js";

import { equal } from "./assert.js";

const note = (/** @type {string} */ id, is_read = false) => ({
  id, type: "message", title: id, message: "", payload: {}, is_read, created_at: "2026-01-05T14:30:00Z",
});
const told = (/** @type {number} */ at, /** @type {string} */ id) => ({
  type: "notification", id: `e-${at}`, data: note(id),
});
const read = (/** @type {number} */ at, /** @type {string[] | null} */ ids) => ({
  type: "notification:read", id: `e-${at}`, data: { ids },
});
const begun = (/** @type {number} */ at, /** @type {number} */ unread) => ({
  type: "notification:unread", id: `e-${at}`, data: { unread },
});
const list = (/** @type {number} */ at, /** @type {number} */ unread, /** @type {any[]} */ ...notifications) => ({
  notifications, unread, as_of: `e-${at}`,
});
const state = (/** @type {Inbox} */ inbox) => [
  inbox.unread,
  inbox.items.map(({ id, is_read }) => (is_read ? id : `${id}*`)).join(" "),
];

/** @type {Record<string, () => void>} */
export const cases = {
  "inbox: a new notification is unread, first, and announced once"() {
    const inbox = new Inbox();
    equal(inbox.apply(begun(1, 0)), null, "the first count announces nothing");
    equal(inbox.apply(told(2, "a"))?.id, "a", "news");
    equal(inbox.apply(told(3, "b"))?.id, "b", "news");
    equal(inbox.apply(told(3, "b")), null, "the same again");
    equal(state(inbox), [2, "b* a*"], "state");
  },

  "inbox: the unread count includes notifications beyond the list"() {
    const inbox = new Inbox();
    inbox.apply(begun(9, 120));
    equal(inbox.load(list(9, 120, note("z"))), true, "taken");
    inbox.apply(read(10, ["z", "older"]));
    equal(state(inbox), [118, "z"], "state");
    inbox.apply(read(11, null));
    equal(state(inbox), [0, "z"], "all");
  },

  "inbox: events are counted once if the list is newer than the stream"() {
    const inbox = new Inbox();
    inbox.apply(begun(1, 0));
    inbox.load(list(3, 1, note("b"), note("a", true)));
    equal(inbox.apply(told(2, "a"))?.id, "a", "it is announced, because it was not shown as a toast before");
    inbox.apply(told(3, "b"));
    equal(state(inbox), [1, "b* a"], "state");
    inbox.apply(read(4, ["b"]));
    equal(state(inbox), [0, "b a"], "state after");
  },

  "inbox: later events are applied to an older list"() {
    const inbox = new Inbox();
    inbox.apply(begun(1, 1));
    inbox.apply(told(2, "b"));
    inbox.apply(read(3, ["a"]));
    inbox.apply(told(4, "c"));
    equal(inbox.load(list(2, 2, note("b"), note("a"))), true, "taken");
    equal(state(inbox), [2, "c* b* a"], "state");
    equal(inbox.place, "e-4", "place");
  },

  "inbox: a list older than the start of the stream is rejected and changes nothing"() {
    const inbox = new Inbox();
    inbox.apply(begun(5, 2));
    equal(inbox.load(list(4, 1, note("a"))), false, "refused");
    equal(inbox.unread, 2, "unread");
    equal(inbox.load(list(5, 2, note("b"), note("a"))), true, "taken");
  },

  "inbox: a restarted stream does not undo a newer list"() {
    const inbox = new Inbox();
    inbox.load(list(7, 1, note("a")));
    inbox.apply(begun(6, 0));
    equal(state(inbox), [1, "a*"], "state");
  },

  "inbox: another epoch of the log starts empty"() {
    const inbox = new Inbox();
    inbox.apply(begun(900, 3));
    inbox.reset();
    inbox.apply({ ...begun(1, 0), id: "f-1" });
    inbox.load({ notifications: [], unread: 0, as_of: "f-1" });
    inbox.apply({ ...told(2, "new"), id: "f-2" });
    equal(state(inbox), [1, "new*"], "state");
  },

  "metrics: shares are whole percentages that add up to 100"() {
    equal(shares([1, 1, 1]), [34, 33, 33], "thirds");
    equal(shares([0, 0, 0]), [0, 0, 0], "nothing");
    equal(shares([2, 0, 0]), [100, 0, 0], "one kind");
    equal(shares([1, 999, 0]), [0, 100, 0], "very few");
    for (let count = 0; count < 200; count += 1) {
      const found = shares([count, 7, 13]).reduce((sum, share) => sum + share, 0);
      equal(found, 100, `sum for ${count}`);
    }
  },

  "views: tickers are separated by commas, semicolons or spaces"() {
    equal(listed(" $IBM, aapl ;; BRK.B\n"), ["IBM", "aapl", "BRK.B"], "tickers");
    equal(listed(" , "), [], "nothing");
  },

  "feed: the text of every state names the next step"() {
    const polling = { name: "polling", everyMs: 5000, retryInMs: 9000, reason: "", failing: "" };
    const words = [
      { name: "live" },
      { name: "connecting" },
      { name: "reconnecting", retryInMs: 5000, tries: 0, of: 2, reason: "" },
      { name: "reconnecting", retryInMs: 0, tries: 2, of: 2, reason: "" },
      polling,
      { ...polling, failing: "no answer" },
      { ...polling, retryInMs: null },
    ].map((/** @type {any} */ one) => {
      const { word, title, more } = inWords(one);
      return [word, title, more];
    });
    equal(
      words,
      [
        ["Connected", "", ""],
        ["Connecting", "", ""],
        ["Reconnecting", "The connection is lost.", "Try 1 of 2"],
        ["Reconnecting", "The connection is lost.", "Try 2 of 2"],
        [
          "Polling",
          "No live stream: polling instead.",
          "New items are asked for every 5 seconds. The stream is tried again",
        ],
        [
          "Not connected",
          "The server does not answer.",
          "It is asked every 5 seconds; what is shown is from before. The stream is tried again",
        ],
        ["Polling", "No live stream: polling instead.", "New items are asked for every 5 seconds."],
      ],
      "words",
    );
  },
};
