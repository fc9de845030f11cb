/** What the page that listens is given: decoded, and with no way back into the stream. */

/**
 * Run a listener of the page; what it throws goes to the console, not into the stream.
 *
 * @template T
 * @param {((what: T) => void) | undefined} listener
 * @param {T} what
 */
export function tell(listener, what) {
  try {
    listener?.(what);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** @param {string} text */
export function decoded(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
