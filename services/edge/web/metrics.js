/** The metrics of all items: totals, sentiments, tags. */

import { createElement, find, oncePerFrame, setChildren, setMessage, setText } from "./dom.js";
import * as format from "./format.js";

/**
 * @typedef {object} Metrics
 * @property {number} total
 * @property {number} positive
 * @property {number} neutral
 * @property {number} negative
 * @property {Record<string, number>} tags  the most frequent first
 * @property {number} other_tags
 * @property {{last_hour: number, last_day: number, per_hour: number}} rates
 * @property {string} timestamp
 */
/** @typedef {"positive" | "neutral" | "negative"} Sentiment */

const SENTIMENTS = /** @type {const} */ (["positive", "neutral", "negative"]);

/**
 * Convert counts to whole percentages that add up to 100, by the largest remainder method.
 *
 * @param {number[]} counts
 * @returns {number[]}  zeros if all counts are zero
 */
export function sentimentShares(counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return counts.map(() => 0);
  const exact = counts.map((count) => (count / total) * 100);
  const shares = exact.map(Math.floor);
  const missing = 100 - shares.reduce((sum, share) => sum + share, 0);
  const remainder = (/** @type {number} */ index) => exact[index] - shares[index];
  const byRemainder = exact.map((_, index) => index).sort((a, b) => remainder(b) - remainder(a));
  for (const index of byRemainder.slice(0, missing)) shares[index] += 1;
  return shares;
}

/** @returns {(metrics: Metrics) => void}  shows metrics on the page */
export function createMetricsPanel() {
  /** @type {Metrics | null} */
  let newest = null;

  const draw = oncePerFrame(() => {
    if (newest === null) return;
    drawTotals(newest);
    drawSentiments(newest);
    drawTags(newest);
  });

  return function show(metrics) {
    newest = metrics;
    draw();
  };
}

/** @param {Metrics} metrics */
function drawTotals({ total, rates, timestamp }) {
  setText(find("#total"), format.quantity(total));
  setText(find("#last-hour"), format.quantity(rates.last_hour));
  setText(find("#last-day"), format.quantity(rates.last_day));
  setText(find("#per-hour"), format.quantity(rates.per_hour));
  setText(find("#metrics-time"), `at ${format.time(timestamp)}`);
}

/** @param {Metrics} metrics */
function drawSentiments(metrics) {
  const shares = sentimentShares(SENTIMENTS.map((sentiment) => metrics[sentiment]));
  SENTIMENTS.forEach((sentiment, index) => {
    const count = metrics[sentiment];
    const element = find(`#${sentiment}`);
    setText(element, format.quantity(count));
    setText(find("span", element.parentElement), metrics.total > 0 ? `${shares[index]} %` : "");
    find(`#shares [data-sentiment="${sentiment}"]`).style.setProperty("--share", `${count}`);
  });
  find("#shares").dataset.empty = String(metrics.total === 0);
}

/** @param {Metrics} metrics */
function drawTags({ tags, other_tags: otherTags }) {
  const panel = find("#tags");
  const list = find("ol", panel);
  const existingRows = new Map([...list.children].map((row) => [row.dataset.tag, row]));
  const entries = Object.entries(tags);
  const maxCount = Math.max(1, ...entries.map(([, count]) => count));
  const rows = entries.map(([tag, count]) => {
    const row = existingRows.get(tag) ?? tagRow(tag);
    row.style.setProperty("--share", `${count / maxCount}`);
    setText(find(".count", row), format.quantity(count));
    return row;
  });
  setChildren(list, rows);
  find(".empty", panel).hidden = rows.length > 0;
  setMessage(find(".more", panel), otherTags > 0 ? `and ${format.quantity(otherTags)} of other tags` : "");
}

/** @param {string} tag */
function tagRow(tag) {
  return createElement(
    "li",
    { "data-tag": tag },
    createElement("span", { class: "tag-name", title: tag }, tag),
    createElement("span", { class: "count num" }),
  );
}
