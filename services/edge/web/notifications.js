/**
 * The notification center, used by every page: a bell with the number of unread notifications, the
 * list behind it, a toast for each new one, and a browser notification if the user allowed these.
 *
 * `inbox.js` holds the state and `notifications-view.js` the elements; this module connects both to
 * the server. Start reading at `open`.
 */

import { ApiError } from "/client/tapewire.js";

import { createBrowserNotifications } from "./browser-notifications.js";
import { oncePerFrame } from "./dom.js";
import { errorMessage } from "./form-errors.js";
import { Inbox } from "./inbox.js";
import { createBell, renderBell } from "./notifications-view.js";
import { openSharedStream } from "./shared-stream.js";
import { createStreamStatus } from "./stream-status.js";
import { showToast } from "./toasts.js";

/** @typedef {import("./inbox.js").Notification} Notification */

const NOTIFICATIONS_URL = "/api/notifications";
const LIST_LIMIT = 50;
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 15_000;
/** The types of notifications whose toasts are shown as errors. */
const ERROR_TYPE_PATTERN = /rejected|failed|error|stop_loss/;

/**
 * @param {import("./account.js").Account} account
 * @param {object} options
 * @param {(type: string) => boolean} [options.isHandledByPage]  whether the page itself reports
 *   events of this type, which then get no toast
 */
export function createNotificationCenter(account, { isHandledByPage = () => false } = {}) {
  const bell = createBell({ markRead, markAllRead, onShow: () => void load() });
  const browserNotifications = createBrowserNotifications(bell.permission, bell.open);
  const inbox = new Inbox();
  const showState = createStreamStatus("#notifications-state");
  const draw = oncePerFrame(() => renderBell(bell, inbox, loadError));
  /** @type {ReturnType<typeof openSharedStream> | null} */
  let stream = null;
  /** Why the list could not be loaded; "" for no error. */
  let loadError = "";
  /** The id of the newest call of `load`: older calls discard their results. */
  let loadId = 0;

  /** Load the list, and retry until it is at least as new as the start of the stream. */
  async function load() {
    const ownLoadId = ++loadId;
    for (let delayMs = RETRY_MS; stream && ownLoadId === loadId; ) {
      try {
        const list = await account.call("GET", `${NOTIFICATIONS_URL}?limit=${LIST_LIMIT}`);
        if (ownLoadId !== loadId) return;
        loadError = "";
        if (inbox.load(list)) break;
      } catch (error) {
        if (ownLoadId !== loadId) return;
        loadError = `The list could not be loaded. ${errorMessage(error)}`;
        if (error instanceof ApiError && !error.transient) break;
      }
      draw();
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      delayMs = Math.min(delayMs * 2, MAX_RETRY_MS);
    }
    draw();
  }

  /** @param {import("/client/tapewire.js").StreamEvent} event */
  function onStreamEvent(event) {
    if (event.type === "stream:reset") {
      inbox.reset();
      void load();
    }
    const notification = inbox.apply(event);
    if (notification) announce(notification);
    draw();
  }

  /** @param {Notification} notification */
  function announce({ id, type, title, message, payload }) {
    browserNotifications.show(id, title, message);
    if (isHandledByPage(type)) return;
    const isError = ERROR_TYPE_PATTERN.test(type) || payload?.level === "error";
    showToast(message ? `${title}: ${message}` : title, isError ? "bad" : "info");
  }

  /** @param {string} id */
  async function markRead(id) {
    await postReadMark("/read", { ids: [id] });
  }

  async function markAllRead() {
    await postReadMark("/read-all");
  }

  /**
   * @param {string} path
   * @param {unknown} [body]
   */
  async function postReadMark(path, body) {
    try {
      await account.call("POST", `${NOTIFICATIONS_URL}${path}`, body);
      // A live stream reports the change to every tab, this one included.
      if (!stream?.isLive) await load();
    } catch (error) {
      showToast(`Not marked as read. ${errorMessage(error)}`, "bad");
    }
  }

  /**
   * @param {string} userId
   * @param {import("/client/tapewire.js").State} state
   */
  function onStreamState(userId, state) {
    showState(state);
    if (state.name === "signed-out") account.handleLostStream(userId);
  }

  /** Hide the bell, close the stream and forget all notifications. */
  function close() {
    const closing = stream;
    stream = null;
    loadId += 1;
    closing?.close();
    inbox.reset();
    loadError = "";
    bell.root.hidden = true;
    showState({ name: "signed-out", reason: "" });
    draw();
  }

  return {
    /** @param {string} userId  the user whose notifications to show */
    open(userId) {
      stream?.close();
      inbox.reset();
      bell.root.hidden = false;
      stream = openSharedStream("/api/sse/notifications", {
        name: `tapewire notifications ${userId}`,
        user: userId,
        lastEventId: () => inbox.lastEventId,
        onEvent: onStreamEvent,
        onState: (state) => onStreamState(userId, state),
      });
      void load();
    },
    close,
  };
}
