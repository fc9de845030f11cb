/**
 * Items and metrics, of everything or of one of the user's views, by whatever way they can be had:
 * the stream, or polling. Both share one place in the log, which the first list begins.
 * Start reading at `open`.
 */

import { follow } from "/client/fallback.js";
import { call } from "/client/tapewire.js";

/** @typedef {import("/client/fallback.js").Following} Following */
/** @typedef {import("/client/fallback.js").PollResult} PollResult */
/** @typedef {import("/client/fallback.js").State} State */
/** @typedef {import("./items.js").Item} Item */
/** @typedef {{items: Item[], as_of: string, more: boolean, reset: boolean}} Listed */

const FIRST_ITEMS = 50;
const ITEMS_A_POLL = 200;
/** Nobody waits longer for the first list; the stream goes ahead, and the list comes below. */
const FIRST_LIST_MS = 2_000;
const LIST_AGAIN_MS = 3_000;
const LIST_AGAIN_AT_MOST_MS = 20_000;

/** @param {string | null} view  the id of a configuration; null for everything */
function streamUrl(view) {
  return view === null ? "/api/v2/stream" : `/api/v2/configurations/${encodeURIComponent(view)}/stream`;
}

/**
 * @param {string | null} view
 * @param {Record<string, string>} query
 */
function itemsUrl(view, query) {
  const all = new URLSearchParams(query);
  if (view !== null) all.set("configuration", view);
  return `/api/v2/items?${all}`;
}

/**
 * What the stream of `view` would bring after `since`.
 *
 * @param {string | null} view
 * @param {string} since
 * @returns {Promise<PollResult>}
 */
async function poll(view, since) {
  const query = { limit: String(ITEMS_A_POLL), ...(since && { since }) };
  /** @type {[any, Listed]} */
  const [metrics, listed] = await Promise.all([
    call("GET", "/api/v2/metrics"),
    call("GET", itemsUrl(view, query)),
  ]);
  const reset = listed.reset ? [{ type: "stream:reset", data: {}, id: null }] : [];
  const items = listed.items.map((item) => ({ type: "new_item", data: item, id: null }));
  const events = [...reset, ...items, { type: "metrics", data: metrics, id: null }];
  return { events, asOf: listed.as_of, more: listed.more };
}

/**
 * @param {object} to
 * @param {ReturnType<typeof import("./items.js").itemsList>} to.items
 * @param {(metrics: any) => void} to.showMetrics
 * @param {(state: State | {name: "paused"}) => void} to.showState
 * @param {(state: State) => void} to.onEnd  signed out, or the view is no more
 */
export function itemsFeed({ items, showMetrics, showState, onEnd }) {
  /** @type {string | null} */
  let view = null;
  /** @type {Following | null} */
  let following = null;
  /** Where a pause has left off; null: not paused. @type {string | null} */
  let pausedAt = null;
  /** What belongs to an earlier opening is done with. */
  let opening = 0;

  /** @param {import("/client/tapewire.js").StreamEvent} event */
  function hear({ type, data }) {
    if (type === "new_item") {
      items.add(data);
    } else if (type === "metrics") {
      showMetrics(data);
    } else if (type === "stream:reset") {
      items.clear();
      void addOlder();
    }
  }

  /** @param {State} state */
  function see(state) {
    showState(state);
    if (state.name === "signed-out" || state.name === "closed") onEnd(state);
  }

  /** @param {string} since */
  function followFrom(since) {
    const of = view;
    following = follow(streamUrl(of), {
      lastEventId: since,
      poll: (place) => poll(of, place),
      onEvent: hear,
      onState: see,
    });
  }

  /** What the stream does not begin with, as soon as it can be had. */
  async function addOlder() {
    const mine = opening;
    for (let pause = LIST_AGAIN_MS; ; pause = Math.min(pause * 2, LIST_AGAIN_AT_MOST_MS)) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      if (mine !== opening) return;
      try {
        /** @type {Listed} */
        const listed = await call("GET", itemsUrl(view, { limit: String(FIRST_ITEMS) }));
        if (mine === opening) items.addOlder(listed.items);
        return;
      } catch {
        // The strip says already that the server cannot be reached.
      }
    }
  }

  function stop() {
    opening += 1;
    following?.close();
    following = null;
  }

  return {
    /** @param {string | null} of  the id of a configuration; null for everything */
    async open(of) {
      stop();
      const mine = opening;
      view = of;
      pausedAt = null;
      items.clear("Waiting for the first items…");
      showState({ name: "connecting" });
      const options = { timeoutMs: FIRST_LIST_MS };
      const url = itemsUrl(of, { limit: String(FIRST_ITEMS) });
      /** @type {Listed | null} */
      const listed = await call("GET", url, undefined, options).catch(() => null);
      if (mine !== opening) return;
      for (const item of listed?.items ?? []) items.add(item, { quiet: true });
      items.whenEmpty("No items yet. What comes is here at once.");
      if (pausedAt === null) followFrom(listed?.as_of ?? "");
      else pausedAt = listed?.as_of ?? "";
      if (!listed) void addOlder();
    },

    /** Leave the connection to other tabs; `resume` goes on from here. */
    pause() {
      if (pausedAt !== null) return;
      pausedAt = following?.lastEventId ?? "";
      following?.close();
      following = null;
      showState({ name: "paused" });
    },

    resume() {
      if (pausedAt === null) return;
      const since = pausedAt;
      pausedAt = null;
      followFrom(since);
    },

    retryNow() {
      following?.retryNow();
    },
  };
}
