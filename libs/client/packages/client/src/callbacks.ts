/** Calls of the page's callbacks, whose errors must not stop the stream. */

/** Call a callback of the page. An error that it throws is reported on the console. */
export function callSafely<T>(listener: ((argument: T) => void) | undefined, argument: T): void {
  try {
    listener?.(argument);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** The parsed JSON, or the text itself when it is not JSON. */
export function parseJsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The member `name` of decoded JSON; undefined when there is none, or when it is no object. */
export function memberOf(data: unknown, name: string): unknown {
  return typeof data === "object" && data !== null
    ? (data as Record<string, unknown>)[name]
    : undefined;
}
