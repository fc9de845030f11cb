/** Small assertions that run in Node and in a browser. */

/**
 * @param {unknown} actual
 * @param {unknown} expected
 * @param {string} what
 */
export function equal(actual, expected, what) {
  const left = JSON.stringify(actual, null, 1);
  const right = JSON.stringify(expected, null, 1);
  if (left !== right) throw new Error(`${what}\n is: ${left}\n not: ${right}`);
}
