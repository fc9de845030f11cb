/** The list of the newest items, in order of arrival with the newest on top. Each is shown once. */

import { createElement, find, oncePerFrame } from "./dom.js";
import * as format from "./format.js";

const MAX_SHOWN = 100;
/** Ids of past items are kept, to ignore items that arrive again after they left the list. */
const MAX_KNOWN_IDS = 5_000;

/**
 * @typedef {object} Item
 * @property {string} id
 * @property {string} title
 * @property {string} source
 * @property {string | null} url
 * @property {string[]} tickers
 * @property {string[]} tags
 * @property {"positive" | "neutral" | "negative"} sentiment
 * @property {number} score
 * @property {string} timestamp
 */

/** @param {HTMLElement} panel */
export function createItemsList(panel) {
  const list = find("ol", panel);
  const empty = find(".empty", panel);
  /** The oldest first. @type {Set<string>} */
  let knownIds = new Set();
  /** Rows to be added on top, the newest last. @type {HTMLElement[]} */
  let pendingNewest = [];
  /** Rows to be added at the bottom, the newest first. @type {HTMLElement[]} */
  let pendingOldest = [];

  const draw = oncePerFrame(() => {
    list.prepend(...pendingNewest.reverse());
    list.append(...pendingOldest);
    pendingNewest = [];
    pendingOldest = [];
    while (list.children.length > MAX_SHOWN) list.lastElementChild.remove();
    empty.hidden = list.children.length > 0;
  });

  /**
   * Remember the item's id.
   *
   * @param {Item} item
   * @returns {boolean}  whether the id was unknown
   */
  function addKnownId({ id }) {
    if (knownIds.has(id)) return false;
    knownIds.add(id);
    if (knownIds.size > MAX_KNOWN_IDS) {
      knownIds.delete(/** @type {string} */ (knownIds.values().next().value));
    }
    return true;
  }

  /** @param {string} id */
  function findRows(id) {
    const shown = /** @type {HTMLElement[]} */ ([...list.children]);
    return [...pendingNewest, ...pendingOldest, ...shown].filter((row) => row.dataset.itemId === id);
  }

  /**
   * @param {HTMLElement} old
   * @param {HTMLElement | null} row  null removes it
   */
  function replaceRow(old, row) {
    const replacements = row ? [row] : [];
    pendingNewest = pendingNewest.flatMap((one) => (one === old ? replacements : [one]));
    pendingOldest = pendingOldest.flatMap((one) => (one === old ? replacements : [one]));
    if (old.parentElement === list) old.replaceWith(...replacements);
  }

  return {
    /**
     * @param {Item} item
     * @param {{isBackfill?: boolean}} [options]  `isBackfill`: the item is not highlighted as new
     */
    add(item, { isBackfill = false } = {}) {
      if (!addKnownId(item)) return;
      pendingNewest = [...pendingNewest.slice(1 - MAX_SHOWN), itemRow(item, isBackfill)];
      draw();
    },

    /**
     * Show the corrected content of an item where it stands, if it is shown.
     *
     * @param {Item} item
     */
    correct(item) {
      const row = itemRow(item, true);
      findRows(item.id).forEach((old) => replaceRow(old, row));
    },

    /** Remove an item that was withdrawn; it does not come back. @param {string} id */
    retract(id) {
      knownIds.add(id);
      findRows(id).forEach((old) => replaceRow(old, null));
      draw();
    },

    /**
     * Add older items below those in the list.
     *
     * @param {Item[]} items  the newest last
     */
    addOlder(items) {
      const rows = items.filter(addKnownId).reverse().map((item) => itemRow(item, true));
      pendingOldest = [...pendingOldest, ...rows];
      draw();
    },

    /** @param {string} [emptyText]  the text that an empty list shows; unchanged by default */
    clear(emptyText) {
      knownIds = new Set();
      pendingNewest = [];
      pendingOldest = [];
      list.replaceChildren();
      if (emptyText !== undefined) empty.textContent = emptyText;
      draw();
    },

    /** @param {string} text  the text that an empty list shows */
    setEmptyText(text) {
      empty.textContent = text;
    },
  };
}

/**
 * @param {Item} item
 * @param {boolean} isBackfill
 */
function itemRow(item, isBackfill) {
  const { id, title, source, url, tickers, tags, sentiment, score, timestamp } = item;
  const when = createElement("time", { datetime: timestamp, title: format.fullTime(timestamp) });
  when.textContent = format.timeOrDate(timestamp);
  const chip = createElement("span", { class: "chip", title: `Score ${format.score(score)}` }, sentiment);
  const details = [tagLabels("tickers", tickers), tagLabels("item-tags", tags)];
  return createElement(
    "li",
    { "data-item-id": id, "data-sentiment": sentiment, "data-fresh": String(!isBackfill) },
    chip,
    createElement("p", { class: "item-title" }, itemTitle(title, url)),
    createElement("p", { class: "item-more" }, createElement("span", {}, source), when, ...details),
  );
}

/**
 * @param {string} title
 * @param {string | null} url
 */
function itemTitle(title, url) {
  // Other schemes are not linked: a `javascript:` link would run a script.
  if (!url || !/^https?:\/\//i.test(url)) return title;
  return createElement("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, title);
}

/**
 * @param {string} className
 * @param {string[]} words
 */
function tagLabels(className, words) {
  const labels = words.map((word) => createElement("span", { class: "label" }, word));
  return createElement("span", { class: className }, ...labels);
}
