/** The user's notifications: a list with a count of unread ones, which are marked as read at once. */

import { callSafely } from "../callbacks.js";
import type {
  Notification,
  NotificationList,
  NotificationsRead,
  ReadResult,
} from "../generated/types.js";
import type { CallOptions, InboxStore, Readable, Unsubscribe } from "../interfaces.js";
import type { TopicChange } from "../source.js";
import { markRead, type NotificationsState } from "../views/lists.js";
import type { RowsDraft } from "../views/rows.js";
import type { StoreContext } from "./context.js";
import { ListStore } from "./list.js";
import { Value } from "./readable.js";

/** How many ids one call takes. */
const MAX_IDS = 200;

/**
 * Marking as read is shown at once, and taken back when the call fails. Until the event of a call has
 * arrived, its notifications count as read although the view says otherwise.
 */
export class Inbox extends ListStore<NotificationsState, Notification> implements InboxStore {
  readonly #unread: Value<number>;
  readonly #arrivals = new Set<{ readonly run: (notification: Notification) => void }>();
  /** Notifications that are being marked as read. */
  readonly #reading = new Set<string>();
  /** What is shown of those, by the row that it is made of. */
  readonly #shown = new WeakMap<Notification, Notification>();
  /** How many were unread when all were marked as read, until that is confirmed. */
  #readAll = 0;
  #viewUnread: number | null = null;

  readonly unread: Readable<number>;

  constructor(context: StoreContext) {
    super(context, {
      topic: "notifications",
      select: (state) => state.notifications,
      keyOf: (one) => one.id,
      pages: {
        path: "/api/notifications",
        read: ({ notifications, as_of, next, unread }: NotificationList) => {
          if (this.#viewUnread === null) this.#takeUnread(unread);
          return { rows: notifications, asOf: as_of, next };
        },
      },
      onChange: markLoadedRows,
    });
    this.#unread = new Value(0, () => this.demand.use());
    this.unread = this.#unread;
    const getRow = this.get;
    this.get = (id) => this.#showRow(getRow(id));
  }

  markRead = async (ids: readonly string[], options?: CallOptions): Promise<void> => {
    const unread = [...new Set(ids)].filter((id) => this.get(id)?.is_read !== true);
    for (let from = 0; from < unread.length; from += MAX_IDS) {
      await this.#mark(unread.slice(from, from + MAX_IDS), options);
    }
  };

  markAllRead = async (options?: CallOptions): Promise<void> => {
    const unread = [...this.rows.byKey.keys()].filter((id) => this.get(id)?.is_read !== true);
    this.#readAll = this.#viewUnread ?? 0;
    this.#addReading(unread);
    try {
      const { unread: left } = await this.context.call<ReadResult>(
        "POST",
        "/api/notifications/read-all",
        undefined,
        options,
      );
      this.#confirm(unread, left);
    } catch (error) {
      this.#readAll = 0;
      this.#takeBack(unread);
      throw error;
    }
  };

  onArrival = (listener: (notification: Notification) => void): Unsubscribe => {
    const arrival = { run: listener };
    this.#arrivals.add(arrival);
    const release = this.demand.use();
    const withdraw = this.context.source.offerToAnnounce();
    return () => {
      if (!this.#arrivals.delete(arrival)) return;
      withdraw();
      release();
    };
  };

  protected override onViewChange({
    view,
    events,
    announces,
  }: TopicChange<NotificationsState>): void {
    if (events?.some(isReadOfAll)) this.#readAll = 0;
    for (const id of this.#reading)
      if (super.rows.byKey.get(id)?.value.is_read === true) this.#reading.delete(id);
    if (view.state.unread !== null) this.#takeUnread(view.state.unread);
    if (!announces || events === null) return;
    for (const { type, data, id } of events) {
      if (type !== "notification" || id === null) continue;
      for (const { run } of [...this.#arrivals]) callSafely(run, data as Notification);
    }
  }

  protected override onCleared(): void {
    this.#reading.clear();
    this.#readAll = 0;
    this.#viewUnread = null;
    this.#unread.set(0);
  }

  async #mark(ids: readonly string[], options: CallOptions | undefined): Promise<void> {
    this.#addReading(ids);
    try {
      const result = await this.context.call<ReadResult>(
        "POST",
        "/api/notifications/read",
        { ids },
        options,
      );
      this.#confirm(ids, result.unread);
    } catch (error) {
      this.#takeBack(ids);
      throw error;
    }
  }

  #addReading(ids: readonly string[]): void {
    for (const id of ids) this.#reading.add(id);
    this.#showCount();
    for (const id of ids) this.notifyKey(id);
  }

  /** The call was carried out: its rows are read, whether or not their event has arrived. */
  #confirm(ids: readonly string[], unread: number): void {
    this.#readAll = 0;
    for (const id of ids) this.#reading.delete(id);
    this.edit((draft) => {
      for (const id of ids) draft.revise(id, (one) => ({ ...one, is_read: true }));
    });
    this.#takeUnread(unread);
  }

  #takeBack(ids: readonly string[]): void {
    for (const id of ids) this.#reading.delete(id);
    this.#showCount();
    for (const id of ids) this.notifyKey(id);
  }

  #takeUnread(unread: number): void {
    this.#viewUnread = unread;
    this.#showCount();
  }

  #showCount(): void {
    const reading = this.#readAll > 0 ? this.#readAll : this.#reading.size;
    this.#unread.set(Math.max(0, (this.#viewUnread ?? 0) - reading));
  }

  #showRow(row: Notification | undefined): Notification | undefined {
    if (row === undefined || row.is_read || !this.#reading.has(row.id)) return row;
    let shown = this.#shown.get(row);
    if (shown === undefined) {
      shown = { ...row, is_read: true };
      this.#shown.set(row, shown);
    }
    return shown;
  }
}

function isReadOfAll({ type, data }: { type: string; data: unknown }): boolean {
  return type === "notification:read" && (data as NotificationsRead).ids === null;
}

/** Rows of older pages are not in the view: what is read on another screen is read here, too. */
function markLoadedRows(
  draft: RowsDraft<Notification>,
  { events }: TopicChange<NotificationsState>,
): void {
  for (const { type, data, id } of events ?? []) {
    if (type === "notification:read") markRead(draft, data as NotificationsRead, id ?? "");
  }
}
