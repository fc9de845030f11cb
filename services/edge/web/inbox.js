/**
 * The state of a user's notifications. It uses no document and no network, therefore unit tests
 * cover every rule.
 *
 * Notifications arrive from two sources, in any order: a list, which is current as of the event id
 * `as_of`, and the events of the stream. A list already contains the events up to `as_of`; later
 * events are applied to it. The unread count is therefore exact.
 */

import { isNews } from "/client/position.js";

/** Events kept for a list that is still loading. */
const MAX_BUFFERED_EVENTS = 200;
const MAX_SHOWN = 100;
const MAX_ANNOUNCED_IDS = 500;

/**
 * @typedef {object} Notification
 * @property {string} id
 * @property {string} type
 * @property {string} title
 * @property {string} message
 * @property {any} payload
 * @property {boolean} is_read
 * @property {string} created_at
 */
/** @typedef {import("/client/tapewire.js").StreamEvent} StreamEvent */

export class Inbox {
  /** The newest first. @type {Notification[]} */
  items = [];
  /** The number of all unread notifications, those that `items` does not contain included. */
  unread = 0;
  /** The id of the last event that this state contains; "" for none. */
  lastEventId = "";
  /** The id of the event that started the stream: events are missing between it and an older list. */
  #streamStartId = "";
  /** @type {StreamEvent[]} */
  #events = [];
  /** The ids of announced notifications, the oldest first. @type {Set<string>} */
  #announcedIds = new Set();

  /** Forget all notifications. Those already announced are not announced again. */
  reset() {
    this.items = [];
    this.unread = 0;
    this.lastEventId = "";
    this.#streamStartId = "";
    this.#events = [];
  }

  /**
   * @param {StreamEvent} event
   * @returns {Notification | null}  a notification to announce; each is returned once
   */
  apply(event) {
    if (event.id !== null && isNews(event.id, this.lastEventId)) {
      if (event.type === "notification:unread") {
        this.unread = event.data.unread;
        this.#streamStartId = event.id;
      } else {
        this.#applyEvent(event);
        this.#events = [...this.#events.slice(1 - MAX_BUFFERED_EVENTS), event];
      }
      this.lastEventId = event.id;
    }
    return event.type === "notification" ? this.#claimAnnouncement(event.data) : null;
  }

  /**
   * @param {{notifications: Notification[], unread: number, as_of: string}} list
   * @returns {boolean}  false if the list is older than the start of the stream: load it again
   */
  load(list) {
    if (this.#streamStartId !== "" && isNews(this.#streamStartId, list.as_of)) return false;
    this.items = [...list.notifications];
    this.unread = list.unread;
    const later = this.#events.filter(({ id }) => isNews(/** @type {string} */ (id), list.as_of));
    for (const event of later) this.#applyEvent(event);
    this.#events = later;
    this.lastEventId = later.at(-1)?.id ?? list.as_of;
    return true;
  }

  /** @param {StreamEvent} event */
  #applyEvent({ type, data }) {
    if (type === "notification") {
      this.items = [data, ...this.items].slice(0, MAX_SHOWN);
      if (!data.is_read) this.unread += 1;
    } else if (type === "notification:read") {
      this.#applyRead(data.ids);
    }
  }

  /** @param {string[] | null} ids  notifications that were unread before; null for all */
  #applyRead(ids) {
    this.items = this.items.map((notification) =>
      ids === null || ids.includes(notification.id) ? { ...notification, is_read: true } : notification,
    );
    this.unread = ids === null ? 0 : Math.max(this.unread - ids.length, 0);
  }

  /**
   * @param {Notification} notification
   * @returns {Notification | null}  null if it was announced before
   */
  #claimAnnouncement(notification) {
    if (this.#announcedIds.has(notification.id)) return null;
    this.#announcedIds.add(notification.id);
    for (const oldestId of this.#announcedIds) {
      if (this.#announcedIds.size <= MAX_ANNOUNCED_IDS) break;
      this.#announcedIds.delete(oldestId);
    }
    return notification;
  }
}
