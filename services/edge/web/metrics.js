/** The counts of all items: totals, sentiments, tags. */

import { arrange, everyFrame, find, make, say, write } from "./dom.js";
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
 * Whole per cents that are 100 together: what rounding down leaves over goes to those that lost
 * most by it.
 *
 * @param {number[]} counts
 * @returns {number[]}  zeros when there is nothing
 */
export function shares(counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return counts.map(() => 0);
  const exact = counts.map((count) => (count / total) * 100);
  const whole = exact.map(Math.floor);
  const left = 100 - whole.reduce((sum, share) => sum + share, 0);
  const byLoss = exact.map((_, at) => at).sort((a, b) => exact[b] - whole[b] - (exact[a] - whole[a]));
  for (const at of byLoss.slice(0, left)) whole[at] += 1;
  return whole;
}

export function metricsPanel() {
  /** @type {Metrics | null} */
  let newest = null;

  const draw = everyFrame(() => {
    if (newest === null) return;
    drawTotals(newest);
    drawSentiments(newest);
    drawTags(newest);
  });

  /** @param {Metrics} metrics */
  return function show(metrics) {
    newest = metrics;
    draw();
  };
}

/** @param {Metrics} metrics */
function drawTotals({ total, rates, timestamp }) {
  write(find("#total"), format.quantity(total));
  write(find("#last-hour"), format.quantity(rates.last_hour));
  write(find("#last-day"), format.quantity(rates.last_day));
  write(find("#per-hour"), format.quantity(rates.per_hour));
  write(find("#metrics-time"), `at ${format.time(timestamp)}`);
}

/** @param {Metrics} metrics */
function drawSentiments(metrics) {
  const whole = shares(SENTIMENTS.map((sentiment) => metrics[sentiment]));
  SENTIMENTS.forEach((sentiment, at) => {
    const count = find(`#${sentiment}`);
    write(count, format.quantity(metrics[sentiment]));
    write(find("span", count.parentElement), metrics.total > 0 ? `${whole[at]} %` : "");
    find(`#shares [data-sentiment="${sentiment}"]`).style.setProperty("--share", `${metrics[sentiment]}`);
  });
  find("#shares").dataset.empty = String(metrics.total === 0);
}

/** @param {Metrics} metrics */
function drawTags({ tags, other_tags: others }) {
  const panel = find("#tags");
  const list = find("ol", panel);
  const old = new Map([...list.children].map((line) => [line.dataset.tag, line]));
  const found = Object.entries(tags);
  const most = Math.max(1, ...found.map(([, count]) => count));
  const lines = found.map(([tag, count]) => {
    const line = old.get(tag) ?? tagLine(tag);
    line.style.setProperty("--share", `${count / most}`);
    write(find(".count", line), format.quantity(count));
    return line;
  });
  arrange(list, lines);
  find(".empty", panel).hidden = lines.length > 0;
  say(find(".more", panel), others > 0 ? `and ${format.quantity(others)} of other tags` : "");
}

/** @param {string} tag */
function tagLine(tag) {
  return make(
    "li",
    { "data-tag": tag },
    make("span", { class: "tag-name", title: tag }, tag),
    make("span", { class: "count num" }),
  );
}
