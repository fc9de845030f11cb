/**
 * Notifications, for any page: a bell with the number of unread ones, the list behind it, a message
 * on the page for each new one, and the browser's own when its user allowed that.
 *
 * What is known is in `inbox.js`; this module brings it on the page. Start reading at `enter`.
 */

import { ApiError, call } from "/client/tapewire.js";

import { bellParts, drawBell } from "./bellview.js";
import { everyFrame } from "./dom.js";
import { reasonOf } from "./forms.js";
import { Inbox } from "./inbox.js";
import { notice } from "./notices.js";
import { sharedStream } from "./shared.js";
import { stateLine } from "./status.js";
import { systemNotices } from "./system.js";

/** @typedef {import("./inbox.js").Notification} Notification */

const URL = "/api/notifications";
const LISTED = 50;
const AGAIN_MS = 1_000;
const AGAIN_AT_MOST_MS = 15_000;
const BAD = /rejected|failed|error|stop_loss/;

/**
 * @param {object} options
 * @param {(type: string) => boolean} [options.quiet]  whether the page itself tells of such
 * @param {() => void} [options.onSignedOut]
 */
export function notificationBell({ quiet = () => false, onSignedOut = () => {} } = {}) {
  const parts = bellParts({ read, readAll, onShow: () => void load() });
  const system = systemNotices(parts.allow, parts.open);
  const inbox = new Inbox();
  const showState = stateLine("#notifications-state");
  const draw = everyFrame(() => drawBell(parts, inbox, trouble));
  /** @type {ReturnType<typeof sharedStream> | null} */
  let stream = null;
  let trouble = "";
  let loading = 0;

  /**
   * Read the list until it is as new as the stream. Repeated, the last one counts.
   */
  async function load() {
    const mine = ++loading;
    for (let pause = AGAIN_MS; stream && mine === loading; ) {
      try {
        const list = await call("GET", `${URL}?limit=${LISTED}`);
        if (mine !== loading) return;
        trouble = "";
        if (inbox.load(list)) break;
      } catch (error) {
        if (mine !== loading) return;
        trouble = `The list could not be read. ${reasonOf(error)}`;
        if (error instanceof ApiError && !error.transient) break;
      }
      draw();
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(pause * 2, AGAIN_AT_MOST_MS);
    }
    draw();
  }

  /** @param {import("/client/tapewire.js").StreamEvent} event */
  function hear(event) {
    if (event.type === "stream:reset") {
      inbox.reset();
      void load();
    }
    const news = inbox.apply(event);
    if (news) tell(news);
    draw();
  }

  /** @param {Notification} news */
  function tell({ id, type, title, message, payload }) {
    system.show(id, title, message);
    if (quiet(type)) return;
    const bad = BAD.test(type) || payload?.level === "error";
    notice(message ? `${title}: ${message}` : title, bad ? "bad" : "info");
  }

  /** @param {string} id */
  async function read(id) {
    await mark("POST", `${URL}/read`, { ids: [id] });
  }

  async function readAll() {
    await mark("POST", `${URL}/read-all`);
  }

  /**
   * @param {"POST"} method
   * @param {string} url
   * @param {unknown} [body]
   */
  async function mark(method, url, body) {
    try {
      await call(method, url, body);
      // The stream tells every tab, this one too; without one the list does.
      if (!stream?.live) await load();
    } catch (error) {
      notice(`Not marked as read. ${reasonOf(error)}`, "bad");
    }
  }

  /** @param {import("/client/tapewire.js").State} state */
  function see(state) {
    showState(state);
    if (state.name !== "signed-out") return;
    leave();
    onSignedOut();
  }

  function leave() {
    const old = stream;
    stream = null;
    loading += 1;
    old?.close();
    inbox.reset();
    trouble = "";
    parts.root.hidden = true;
    showState({ name: "signed-out", reason: "" });
    draw();
  }

  return {
    /** @param {string} userId  whose notifications to show from now on */
    enter(userId) {
      stream?.close();
      inbox.reset();
      parts.root.hidden = false;
      stream = sharedStream("/api/sse/notifications", {
        name: `tapewire notifications ${userId}`,
        place: () => inbox.place,
        onEvent: hear,
        onState: see,
      });
      void load();
    },
    leave,
  };
}
