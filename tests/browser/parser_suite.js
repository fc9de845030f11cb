/**
 * Runs one case of parser_cases.json with its bytes cut in every way. Node and Chromium use it.
 */

import { Parser } from "../../libs/client/packages/client/dist/parser.js";
import { equal } from "./assert.js";

/** @param {string | {hex: string}} chunk */
function bytesOf(chunk) {
  if (typeof chunk === "string") return new TextEncoder().encode(chunk);
  return Uint8Array.from(chunk.hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** @param {Uint8Array[]} chunks */
function parse(chunks) {
  /** @type {any[]} */ const blocks = [];
  /** @type {string[]} */ const ids = [];
  /** @type {number[]} */ const retries = [];
  const parser = new Parser({
    onBlock: ({ type, data, id }) => blocks.push({ type, data, id }),
    onId: (id) => ids.push(id),
    onRetry: (milliseconds) => retries.push(milliseconds),
  });
  for (const chunk of chunks) parser.push(chunk);
  return { blocks, ids, retries, lastEventId: parser.lastEventId };
}

/** @param {any} parserCase */
export function runParserCase({ chunks, blocks, ids = [], retries = [], lastEventId = "" }) {
  const asGiven = chunks.map(bytesOf);
  const all = Uint8Array.from(asGiven.flatMap((/** @type {Uint8Array} */ part) => [...part]));
  const expected = { blocks, ids, retries, lastEventId };
  equal(parse(asGiven), expected, "cut as given");
  equal(parse([all]), expected, "in one piece");
  equal(parse([...all].map((byte) => Uint8Array.of(byte))), expected, "byte by byte");
  for (let at = 1; at < all.length; at += 1) {
    equal(parse([all.slice(0, at), all.slice(at)]), expected, `cut after byte ${at}`);
  }
}
