/**
 * The newest items, in the order in which they came, the newest on top; each once, whichever way it
 * came.
 */

import { everyFrame, find, make } from "./dom.js";
import * as format from "./format.js";

const SHOWN_AT_MOST = 100;
/** Ids that are remembered, so that what has left the list does not come again. */
const KNOWN_AT_MOST = 5_000;

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
export function itemsList(panel) {
  const list = find("ol", panel);
  const empty = find(".empty", panel);
  /** @type {Set<string>} */
  let known = new Set();
  /** Not drawn yet: the newest last; and those below all others, the newest first. */
  /** @type {HTMLElement[]} */
  let above = [];
  /** @type {HTMLElement[]} */
  let below = [];

  const draw = everyFrame(() => {
    list.prepend(...above.reverse());
    list.append(...below);
    above = [];
    below = [];
    while (list.children.length > SHOWN_AT_MOST) list.lastElementChild.remove();
    empty.hidden = list.children.length > 0;
  });

  /** @param {Item} item */
  function isNew({ id }) {
    if (known.has(id)) return false;
    known.add(id);
    if (known.size > KNOWN_AT_MOST) known.delete(/** @type {string} */ (known.values().next().value));
    return true;
  }

  return {
    /**
     * @param {Item} item
     * @param {{quiet?: boolean}} [how]  quiet: it is none that just came
     */
    add(item, { quiet = false } = {}) {
      if (!isNew(item)) return;
      above = [...above.slice(1 - SHOWN_AT_MOST), line(item, quiet)];
      draw();
    },

    /**
     * Older ones, to stand below what there is.
     *
     * @param {Item[]} items  the newest last
     */
    addOlder(items) {
      below = [...below, ...items.filter(isNew).reverse().map((item) => line(item, true))];
      draw();
    },

    /** @param {string} [words]  what stands there while it is empty */
    clear(words) {
      known = new Set();
      above = [];
      below = [];
      list.replaceChildren();
      if (words !== undefined) empty.textContent = words;
      draw();
    },

    /** @param {string} words */
    whenEmpty(words) {
      empty.textContent = words;
    },
  };
}

/**
 * @param {Item} item
 * @param {boolean} quiet
 */
function line({ id, title, source, url, tickers, tags, sentiment, score, timestamp }, quiet) {
  const when = make("time", { datetime: timestamp, title: format.fullTime(timestamp) });
  when.textContent = format.recent(timestamp);
  const chip = make("span", { class: "chip", title: `Score ${format.score(score)}` }, sentiment);
  const [tickerList, tagList] = [labels("tickers", tickers), labels("item-tags", tags)];
  return make(
    "li",
    { "data-item-id": id, "data-sentiment": sentiment, "data-fresh": String(!quiet) },
    chip,
    make("p", { class: "item-title" }, titleOf(title, url)),
    make("p", { class: "item-more" }, make("span", {}, source), when, tickerList, tagList),
  );
}

/**
 * @param {string} title
 * @param {string | null} url
 */
function titleOf(title, url) {
  // A link to a script would run it; only these lead to documents.
  if (!url || !/^https?:\/\//i.test(url)) return title;
  return make("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, title);
}

/**
 * @param {string} name
 * @param {string[]} words
 */
function labels(name, words) {
  return make("span", { class: name }, ...words.map((word) => make("span", { class: "label" }, word)));
}
