/** The pages' logic that needs no document and no network, as cases: name → test. */

import { describeFeedState } from "/static/feed-status.js";
import { Inbox } from "/static/inbox.js";
import { sentimentShares } from "/static/metrics.js";
import { parseList } from "/static/views.js";

import { equal } from "/tests/assert.js";

const notification = (/** @type {string} */ id, is_read = false) => ({
  id, type: "message", title: id, message: "", payload: {}, is_read, created_at: "2026-01-05T14:30:00Z",
});
const notificationEvent = (/** @type {number} */ at, /** @type {string} */ id) => ({
  type: "notification", id: `e-${at}`, data: notification(id),
});
const readEvent = (/** @type {number} */ at, /** @type {string[] | null} */ ids) => ({
  type: "notification:read", id: `e-${at}`, data: { ids },
});
const startEvent = (/** @type {number} */ at, /** @type {number} */ unread) => ({
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
    equal(inbox.apply(startEvent(1, 0)), null, "the first count announces nothing");
    equal(inbox.apply(notificationEvent(2, "a"))?.id, "a", "announced");
    equal(inbox.apply(notificationEvent(3, "b"))?.id, "b", "announced");
    equal(inbox.apply(notificationEvent(3, "b")), null, "not announced again");
    equal(state(inbox), [2, "b* a*"], "state");
  },

  "inbox: the unread count includes notifications beyond the list"() {
    const inbox = new Inbox();
    inbox.apply(startEvent(9, 120));
    equal(inbox.load(list(9, 120, notification("z"))), true, "accepted");
    inbox.apply(readEvent(10, ["z", "older"]));
    equal(state(inbox), [118, "z"], "state");
    inbox.apply(readEvent(11, null));
    equal(state(inbox), [0, "z"], "all");
  },

  "inbox: events are counted once if the list is newer than the stream"() {
    const inbox = new Inbox();
    inbox.apply(startEvent(1, 0));
    inbox.load(list(3, 1, notification("b"), notification("a", true)));
    equal(inbox.apply(notificationEvent(2, "a"))?.id, "a", "it is announced, because it was not shown as a toast before");
    inbox.apply(notificationEvent(3, "b"));
    equal(state(inbox), [1, "b* a"], "state");
    inbox.apply(readEvent(4, ["b"]));
    equal(state(inbox), [0, "b a"], "state after");
  },

  "inbox: later events are applied to an older list"() {
    const inbox = new Inbox();
    inbox.apply(startEvent(1, 1));
    inbox.apply(notificationEvent(2, "b"));
    inbox.apply(readEvent(3, ["a"]));
    inbox.apply(notificationEvent(4, "c"));
    equal(inbox.load(list(2, 2, notification("b"), notification("a"))), true, "accepted");
    equal(state(inbox), [2, "c* b* a"], "state");
    equal(inbox.lastEventId, "e-4", "last event id");
  },

  "inbox: a list older than the start of the stream is rejected and changes nothing"() {
    const inbox = new Inbox();
    inbox.apply(startEvent(5, 2));
    equal(inbox.load(list(4, 1, notification("a"))), false, "refused");
    equal(inbox.unread, 2, "unread");
    equal(inbox.load(list(5, 2, notification("b"), notification("a"))), true, "accepted");
  },

  "inbox: a restarted stream does not undo a newer list"() {
    const inbox = new Inbox();
    inbox.load(list(7, 1, notification("a")));
    inbox.apply(startEvent(6, 0));
    equal(state(inbox), [1, "a*"], "state");
  },

  "inbox: another epoch of the log starts empty"() {
    const inbox = new Inbox();
    inbox.apply(startEvent(900, 3));
    inbox.reset();
    inbox.apply({ ...startEvent(1, 0), id: "f-1" });
    inbox.load({ notifications: [], unread: 0, as_of: "f-1" });
    inbox.apply({ ...notificationEvent(2, "new"), id: "f-2" });
    equal(state(inbox), [1, "new*"], "state");
  },

  "metrics: shares are whole percentages that add up to 100"() {
    equal(sentimentShares([1, 1, 1]), [34, 33, 33], "thirds");
    equal(sentimentShares([0, 0, 0]), [0, 0, 0], "nothing");
    equal(sentimentShares([2, 0, 0]), [100, 0, 0], "one sentiment");
    equal(sentimentShares([1, 999, 0]), [0, 100, 0], "a small share");
    for (let count = 0; count < 200; count += 1) {
      const found = sentimentShares([count, 7, 13]).reduce((sum, share) => sum + share, 0);
      equal(found, 100, `sum for ${count}`);
    }
  },

  "views: tickers are separated by commas, semicolons or spaces"() {
    equal(parseList(" $IBM, aapl ;; BRK.B\n"), ["IBM", "aapl", "BRK.B"], "tickers");
    equal(parseList(" , "), [], "nothing");
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
      const { word, title, more } = describeFeedState(one);
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
