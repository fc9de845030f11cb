/** Calls of the page's callbacks, whose errors must not stop the stream. */

/**
 * Call a callback of the page. An error that it throws is reported on the console.
 *
 * @template T
 * @param {((argument: T) => void) | undefined} listener
 * @param {T} argument
 */
export function callSafely(listener, argument) {
  try {
    listener?.(argument);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/**
 * The parsed JSON, or the text itself when it is not JSON.
 *
 * @param {string} text
 */
export function parseJsonOrText(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
