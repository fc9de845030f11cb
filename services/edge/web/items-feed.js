/**
 * The feed of items and metrics, for all items or for one of the user's views.
 *
 * The feed loads a first list, then follows the stream from the list's event id. While the stream is
 * unavailable, it polls; the stream and the polls share one position in the log. Start reading at
 * `open`.
 */

import { follow } from "/client/fallback.js";
import { call } from "/client/tapewire.js";

/** @typedef {import("/client/fallback.js").Following} Following */
/** @typedef {import("/client/fallback.js").PollResult} PollResult */
/** @typedef {import("/client/fallback.js").State} State */
/** @typedef {import("./items.js").Item} Item */
/** @typedef {{items: Item[], retracted?: string[], as_of: string, more: boolean, reset: boolean}} ItemPage */

const INITIAL_ITEM_LIMIT = 50;
const POLL_ITEM_LIMIT = 200;
/** After this time the stream opens without the first list, which is then added below its items. */
const FIRST_LIST_TIMEOUT_MS = 2_000;
const LIST_RETRY_MS = 3_000;
const MAX_LIST_RETRY_MS = 20_000;

/** @param {string | null} viewId  the id of a configuration; null for all items */
function streamUrl(viewId) {
  return viewId === null ? "/api/v2/stream" : `/api/v2/configurations/${encodeURIComponent(viewId)}/stream`;
}

/**
 * @param {string | null} viewId
 * @param {Record<string, string>} query
 */
function itemsUrl(viewId, query) {
  const parameters = new URLSearchParams(query);
  if (viewId !== null) parameters.set("configuration", viewId);
  return `/api/v2/items?${parameters}`;
}

/**
 * Get the events that the stream of `viewId` delivers after `since`.
 *
 * @param {string | null} viewId
 * @param {string | undefined} user  the user whom the view belongs to; undefined for all items
 * @param {string} since  an event id; "" for the newest items
 * @returns {Promise<PollResult>}
 */
async function poll(viewId, user, since) {
  const query = { limit: String(POLL_ITEM_LIMIT), ...(since && { since }) };
  /** @type {[any, ItemPage]} */
  const [metrics, page] = await Promise.all([
    call("GET", "/api/v2/metrics"),
    call("GET", itemsUrl(viewId, query), undefined, { user }),
  ]);
  const reset = page.reset ? [{ type: "stream:reset", data: {}, id: null }] : [];
  // A corrected item replaces its row; one that is not shown yet is added.
  const items = page.items.flatMap((item) => [
    { type: "item:corrected", data: item, id: null },
    { type: "new_item", data: item, id: null },
  ]);
  const retracted = (page.retracted ?? []).map((id) => ({ type: "item:retracted", data: { id }, id: null }));
  const events = [...reset, ...items, ...retracted, { type: "metrics", data: metrics, id: null }];
  return { events, asOf: page.as_of, more: page.more };
}

/**
 * @param {object} sinks
 * @param {ReturnType<typeof import("./items.js").createItemsList>} sinks.items
 * @param {(metrics: any) => void} sinks.showMetrics
 * @param {(state: State | {name: "paused"}) => void} sinks.showState
 * @param {(state: State) => void} sinks.onEnd  called when the session has ended, or the view was
 *   deleted
 */
export function createItemsFeed({ items, showMetrics, showState, onEnd }) {
  /** @type {string | null} */
  let viewId = null;
  /** The user whom the view belongs to; undefined for all items. @type {string | undefined} */
  let user;
  /** @type {Following | null} */
  let connection = null;
  /** The event id to resume after; null when the feed is not paused. @type {string | null} */
  let pausedAt = null;
  /** Increases with every `open`: answers to requests of an earlier one are discarded. */
  let openId = 0;

  /** @param {import("/client/tapewire.js").StreamEvent} event */
  function onStreamEvent({ type, data }) {
    if (type === "new_item") {
      items.add(data);
    } else if (type === "item:corrected") {
      items.correct(data);
    } else if (type === "item:retracted") {
      items.retract(data.id);
    } else if (type === "metrics") {
      showMetrics(data);
    } else if (type === "stream:reset") {
      items.clear();
      void addOlder();
    }
  }

  /** @param {State} state */
  function onStreamState(state) {
    showState(state);
    if (state.name === "signed-out" || state.name === "closed") onEnd(state);
  }

  /** @param {string} lastEventId */
  function connectFrom(lastEventId) {
    const [ownViewId, ownUser] = [viewId, user];
    connection = follow(streamUrl(ownViewId), {
      user: ownUser,
      lastEventId,
      poll: (since) => poll(ownViewId, ownUser, since),
      onEvent: onStreamEvent,
      onState: onStreamState,
    });
  }

  /** Add the items from before the start of the stream, and retry until the server answers. */
  async function addOlder() {
    const ownOpenId = openId;
    for (let delayMs = LIST_RETRY_MS; ; delayMs = Math.min(delayMs * 2, MAX_LIST_RETRY_MS)) {
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      if (ownOpenId !== openId) return;
      try {
        /** @type {ItemPage} */
        const page = await call("GET", itemsUrl(viewId, { limit: String(INITIAL_ITEM_LIMIT) }), undefined, { user });
        if (ownOpenId === openId) items.addOlder(page.items);
        return;
      } catch {
        // The feed's status shows that the server cannot be reached.
      }
    }
  }

  function closeConnection() {
    connection?.close();
    connection = null;
  }

  return {
    /**
     * @param {string | null} newViewId  the id of a configuration; null for all items
     * @param {string} userId  the user whom the configuration belongs to
     */
    async open(newViewId, userId) {
      openId += 1;
      const ownOpenId = openId;
      closeConnection();
      viewId = newViewId;
      user = viewId === null ? undefined : userId;
      pausedAt = null;
      items.clear("Waiting for the first items…");
      showState({ name: "connecting" });
      const options = { timeoutMs: FIRST_LIST_TIMEOUT_MS, user };
      const url = itemsUrl(viewId, { limit: String(INITIAL_ITEM_LIMIT) });
      /** @type {ItemPage | null} */
      const page = await call("GET", url, undefined, options).catch(() => null);
      if (ownOpenId !== openId) return;
      for (const item of page?.items ?? []) items.add(item, { isBackfill: true });
      items.setEmptyText("No items yet. New items appear here at once.");
      if (pausedAt === null) connectFrom(page?.as_of ?? "");
      else pausedAt = page?.as_of ?? "";
      if (!page) void addOlder();
    },

    /** Close the connection, to free it for other tabs. `resume` continues at the same position. */
    pause() {
      if (pausedAt !== null) return;
      pausedAt = connection?.lastEventId ?? "";
      closeConnection();
      showState({ name: "paused" });
    },

    resume() {
      if (pausedAt === null) return;
      const lastEventId = pausedAt;
      pausedAt = null;
      connectFrom(lastEventId);
    },

    retryNow() {
      connection?.retryNow();
    },
  };
}
