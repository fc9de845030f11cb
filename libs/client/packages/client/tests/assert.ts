/** Small assertions that run in Node and in a browser. */

import type { ApiError } from "../src/rest.js";

/** @throws Error  with both values, unless they are the same JSON */
export function equal(actual: unknown, expected: unknown, what: string): void {
  const left = JSON.stringify(actual, null, 1);
  const right = JSON.stringify(expected, null, 1);
  if (left !== right) throw new Error(`${what}\n is: ${left}\n not: ${right}`);
}

/** The error with which `attempt` is rejected. */
export async function rejection<E extends Error = ApiError>(attempt: Promise<unknown>): Promise<E> {
  let value: unknown;
  try {
    value = await attempt;
  } catch (error) {
    return error as E;
  }
  throw new Error(`not rejected, but resolved with ${JSON.stringify(value)}`);
}

/** Cases by name. A case fails by throwing. */
export type Cases = Readonly<Record<string, () => void | Promise<void>>>;
