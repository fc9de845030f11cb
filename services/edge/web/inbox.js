/**
 * A user's notifications as this page knows them. No document, no network, so that every rule is a
 * line in a test.
 *
 * Two sources tell of them, in any order: a list, true at the place `as_of`, and the events of the
 * stream, each with the id of its own place. Events up to a list's place are in the list already;
 * those after it are applied to it. So the number of unread ones is never guessed.
 */

import { isNews } from "/client/position.js";

/** Events that a list which is still on its way may have to be brought up to date with. */
const EVENTS_KEPT = 200;
const SHOWN_AT_MOST = 100;
const TOLD_KEPT = 500;

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
  /** Of all that there ever were, so also of those that `items` does not have. */
  unread = 0;
  /** The id of the place that this is true for; "": nothing is known. */
  place = "";
  /** Where the stream began: lists that are older miss something. */
  #begun = "";
  /** @type {StreamEvent[]} */
  #events = [];
  /** Ids of the notifications that were new, the oldest first. @type {Set<string>} */
  #told = new Set();

  /** Know nothing any more; what was told stays told. */
  reset() {
    this.items = [];
    this.unread = 0;
    this.place = "";
    this.#begun = "";
    this.#events = [];
  }

  /**
   * @param {StreamEvent} event
   * @returns {Notification | null}  one to tell the user of: each is told once
   */
  apply(event) {
    if (event.id !== null && isNews(event.id, this.place)) {
      if (event.type === "notification:unread") {
        this.unread = event.data.unread;
        this.#begun = event.id;
      } else {
        this.#fold(event);
        this.#events = [...this.#events.slice(1 - EVENTS_KEPT), event];
      }
      this.place = event.id;
    }
    return event.type === "notification" ? this.#tell(event.data) : null;
  }

  /**
   * @param {{notifications: Notification[], unread: number, as_of: string}} list
   * @returns {boolean}  false: it is older than the stream, ask again
   */
  load(list) {
    if (this.#begun !== "" && isNews(this.#begun, list.as_of)) return false;
    this.items = [...list.notifications];
    this.unread = list.unread;
    const later = this.#events.filter(({ id }) => isNews(/** @type {string} */ (id), list.as_of));
    for (const event of later) this.#fold(event);
    this.#events = later;
    this.place = later.at(-1)?.id ?? list.as_of;
    return true;
  }

  /** @param {StreamEvent} event */
  #fold({ type, data }) {
    if (type === "notification") {
      this.items = [data, ...this.items].slice(0, SHOWN_AT_MOST);
      if (!data.is_read) this.unread += 1;
    } else if (type === "notification:read") {
      this.#read(data.ids);
    }
  }

  /** @param {string[] | null} ids  that were unread until now; null: all */
  #read(ids) {
    const read = (/** @type {Notification} */ one) => ids === null || ids.includes(one.id);
    this.items = this.items.map((one) => (read(one) ? { ...one, is_read: true } : one));
    this.unread = ids === null ? 0 : Math.max(this.unread - ids.length, 0);
  }

  /** @param {Notification} notification */
  #tell(notification) {
    if (this.#told.has(notification.id)) return null;
    this.#told.add(notification.id);
    for (const oldest of this.#told) {
      if (this.#told.size <= TOLD_KEPT) break;
      this.#told.delete(oldest);
    }
    return notification;
  }
}
