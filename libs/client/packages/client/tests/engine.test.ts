/** The engine's cases, in Node. Chromium runs the same ones: tests/browser/test_client.py. */

import { readFileSync } from "node:fs";
import { describe, test } from "vitest";

import type { Cases } from "./assert.js";
import { cases as callCases } from "./cases/calls.js";
import { type ConnectionCase, runConnectionCase } from "./cases/conformance.js";
import { cases as connectionCases } from "./cases/connection.js";
import { cases as contentCases } from "./cases/content.js";
import { cases as fallbackCases } from "./cases/fallback.js";
import { cases as handoverCases } from "./cases/handover.js";
import { cases as endingCases } from "./cases/handover-ends.js";
import { type ParserCase, runParserCase } from "./cases/parser.js";
import { cases as pollingCases } from "./cases/polling.js";
import { cases as positionCases } from "./cases/positions.js";
import { cases as quoteCases } from "./cases/quotes.js";
import { cases as silenceCases } from "./cases/silence.js";
import { cases as tokenStreamCases } from "./cases/token-streams.js";
import { cases as tokenCases } from "./cases/tokens.js";

function readCases<T>(file: string): T[] {
  return JSON.parse(
    readFileSync(new URL(`../conformance/${file}`, import.meta.url), "utf8"),
  ) as T[];
}

const TABLES: Readonly<Record<string, Cases>> = {
  parser: Object.fromEntries(
    readCases<ParserCase>("parser_cases.json").map((one) => [one.name, () => runParserCase(one)]),
  ),
  conformance: Object.fromEntries(
    readCases<ConnectionCase>("connection_cases.json").map((one) => [
      one.name,
      () => runConnectionCase(one),
    ]),
  ),
  calls: callCases,
  connection: connectionCases,
  content: contentCases,
  positions: positionCases,
  handover: handoverCases,
  "handover ends": endingCases,
  quotes: quoteCases,
  silence: silenceCases,
  polling: pollingCases,
  fallback: fallbackCases,
  tokens: tokenCases,
  "tokens of streams": tokenStreamCases,
};

describe.each(Object.keys(TABLES))("%s", (name) => {
  for (const [what, run] of Object.entries(TABLES[name] ?? {})) test(what, run);
});
