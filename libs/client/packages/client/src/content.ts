/** What a stream shows, in its URL: a client whose stream was changed reconnects to the same content. */

/** The event from which on a stream shows something else. */
export const UPDATED = "stream:updated";
const TOPICS_PATH = "/api/stream";
const PRICES = "prices";

/** The data of `stream:updated`, in either style of names. */
export interface UpdatedContent {
  readonly topics: readonly string[];
  readonly symbols: readonly string[] | null;
  readonly maxRate?: number;
  readonly max_rate?: number;
}

/** The URL of a call that changes the stream `clientId`, on the server of the stream at `url`. */
export function changeUrl(url: string, clientId: string): string {
  const origin = /^(?:[a-z]+:)?\/\/[^/?#]*/i.exec(url)?.[0] ?? "";
  return `${origin}${TOPICS_PATH}/${encodeURIComponent(clientId || "none")}`;
}

/** The URL of a stream that shows `content`; `url` is that of the stream before. */
export function urlOfContent(url: string, content: UpdatedContent): string {
  const [path = "", query = ""] = withoutFragment(url).split("?", 2);
  const parameters = new URLSearchParams(query);
  const { topics, symbols } = content;
  const maxRate = content.maxRate ?? content.max_rate;
  if (path.replace(/\/$/, "").endsWith(TOPICS_PATH)) {
    const prices = symbols === null ? [PRICES] : symbols.map((symbol) => `${PRICES}:${symbol}`);
    const names = topics.flatMap((name) => (name === PRICES ? prices : [name]));
    parameters.set("topics", names.join(","));
  } else if (symbols === null) {
    parameters.delete("symbols");
  } else {
    parameters.set("symbols", symbols.join(","));
  }
  parameters.set("maxRate", String(maxRate));
  return `${path}?${parameters}`;
}

export function withoutFragment(url: string): string {
  return url.split("#", 1)[0] ?? "";
}
