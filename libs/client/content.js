/** What a stream shows, in its URL: a client whose stream was changed reconnects to the same content. */

/** The event from which on a stream shows something else. */
export const UPDATED = "stream:updated";
const TOPICS_PATH = "/api/stream";
const PRICES = "prices";

/**
 * The URL of a call that changes the stream `clientId`, on the server of the stream at `url`.
 *
 * @param {string} url
 * @param {string} clientId
 */
export function changeUrl(url, clientId) {
  const origin = /^(?:[a-z]+:)?\/\/[^/?#]*/i.exec(url)?.[0] ?? "";
  return `${origin}${TOPICS_PATH}/${encodeURIComponent(clientId || "none")}`;
}

/**
 * The URL of a stream that shows what the data of `stream:updated` says.
 *
 * @param {string} url  of the stream before
 * @param {any} content
 */
export function urlOfContent(url, content) {
  const [path, query = ""] = url.split("#", 1)[0].split("?", 2);
  const parameters = new URLSearchParams(query);
  const { topics, symbols } = content;
  const maxRate = content.maxRate ?? content.max_rate;
  if (path.replace(/\/$/, "").endsWith(TOPICS_PATH)) {
    const prices = symbols === null ? [PRICES] : symbols.map((/** @type {string} */ symbol) => `${PRICES}:${symbol}`);
    const names = topics.flatMap((/** @type {string} */ name) => (name === PRICES ? prices : [name]));
    parameters.set("topics", names.join(","));
  } else if (symbols === null) {
    parameters.delete("symbols");
  } else {
    parameters.set("symbols", symbols.join(","));
  }
  parameters.set("maxRate", String(maxRate));
  return `${path}?${parameters}`;
}
