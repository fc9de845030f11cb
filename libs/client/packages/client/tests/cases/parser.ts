/**
 * Runs a case of conformance/parser_cases.json with its bytes cut in every way. Node and Chromium
 * use it.
 */

import { Parser } from "../../src/parser.js";
import { equal } from "../assert.js";

interface ParsedBlock {
  readonly type: string;
  readonly data: string;
  readonly id: string | null;
}

/** What conformance/README.md says. */
export interface ParserCase {
  readonly name: string;
  readonly chunks: readonly (string | { readonly hex: string })[];
  readonly blocks: readonly ParsedBlock[];
  readonly ids?: readonly string[];
  readonly retries?: readonly number[];
  readonly lastEventId?: string;
}

function bytesOf(chunk: string | { readonly hex: string }): Uint8Array {
  if (typeof chunk === "string") return new TextEncoder().encode(chunk);
  return Uint8Array.from(chunk.hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function parse(chunks: readonly Uint8Array[]): object {
  const blocks: ParsedBlock[] = [];
  const ids: string[] = [];
  const retries: number[] = [];
  const parser = new Parser({
    onBlock: ({ type, data, id }) => blocks.push({ type, data, id }),
    onId: (id) => ids.push(id),
    onRetry: (milliseconds) => retries.push(milliseconds),
  });
  for (const chunk of chunks) parser.push(chunk);
  return { blocks, ids, retries, lastEventId: parser.lastEventId };
}

export function runParserCase({
  chunks,
  blocks,
  ids = [],
  retries = [],
  lastEventId = "",
}: ParserCase): void {
  const asGiven = chunks.map(bytesOf);
  const all = Uint8Array.from(asGiven.flatMap((part) => [...part]));
  const expected = { blocks, ids, retries, lastEventId };
  equal(parse(asGiven), expected, "cut as given");
  equal(parse([all]), expected, "in one piece");
  equal(parse([...all].map((byte) => Uint8Array.of(byte))), expected, "byte by byte");
  for (let at = 1; at < all.length; at += 1) {
    equal(parse([all.slice(0, at), all.slice(at)]), expected, `cut after byte ${at}`);
  }
}
