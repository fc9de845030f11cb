/** A readable value whose listeners hear of it only when it is another one, compared as JSON. */

import { Value } from "../stores/readable.js";

export class PlainValue<T> extends Value<T> {
  override set(value: T): void {
    if (!isEqual(value, this.get())) super.set(value);
  }
}

function isEqual(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object") return false;
  return JSON.stringify(one) === JSON.stringify(other);
}
