/** The client's tests under Node: `node --test tests/browser/*.test.js`. Chromium runs them too. */

import { readFileSync } from "node:fs";
import test from "node:test";

import { cases } from "./connection_cases.js";
import { cases as fallbackCases } from "./fallback_cases.js";
import { cases as handoverCases } from "./handover_cases.js";
import { cases as pollingCases } from "./polling_cases.js";
import { runParserCase } from "./parser_suite.js";

const parserCases = JSON.parse(
  readFileSync(new URL("parser_cases.json", import.meta.url), "utf8"),
);

for (const parserCase of parserCases) {
  test(`parser: ${parserCase.name}`, () => runParserCase(parserCase));
}
for (const [name, run] of Object.entries(cases)) {
  test(`connection: ${name}`, run);
}
for (const [name, run] of Object.entries(handoverCases)) {
  test(`handover: ${name}`, run);
}
for (const [name, run] of Object.entries(pollingCases)) {
  test(`polling: ${name}`, run);
}
for (const [name, run] of Object.entries(fallbackCases)) {
  test(`fallback: ${name}`, run);
}
