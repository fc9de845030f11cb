import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

const css = readFileSync(new URL("../src/styles/tokens.css", import.meta.url), "utf8");

/** Name of a token → its light and dark colour. */
const COLOURS = new Map(
  [...css.matchAll(/--([\w-]+):\s*(?:light-dark\((#\w{6}),\s*(#\w{6})\)|(#\w{6}))/g)].map(
    ([, name, light, dark, both]) => [name!, [light ?? both!, dark ?? both!]] as const,
  ),
);

function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((start) => {
    const part = parseInt(colour.slice(start, start + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}

function contrast(a: string, b: string): number {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light! + 0.05) / (dark! + 0.05);
}

const SURFACES = ["page", "panel", "sunken", "raised", "hover", "selected"];
const TEXTS = ["ink", "soft", "link", "up", "down", "warn"];
const FILLS = ["accent", "buy", "sell"];
const MARKS = ["edge", "focus", "live-mark", "warn-mark", "bad-mark"];
const PAIRS: [text: string, surface: string, least: number][] = [
  ...TEXTS.flatMap((text) =>
    SURFACES.map((surface): [string, string, number] => [text, surface, 4.5]),
  ),
  ...FILLS.map((fill): [string, string, number] => ["on-fill", fill, 4.5]),
  ...MARKS.flatMap((mark) =>
    ["page", "panel", "sunken", "raised"].map((surface): [string, string, number] => [
      mark,
      surface,
      3,
    ]),
  ),
  ["up", "up-wash", 4.5],
  ["down", "down-wash", 4.5],
  ["warn", "warn-wash", 4.5],
  ["link", "accent-wash", 4.5],
  ["ink", "warn-wash", 4.5],
  ["ink", "up-wash", 4.5],
  ["ink", "down-wash", 4.5],
];

describe.each(["light", "dark"].map((name, index) => ({ name, index })))(
  "contrast in the $name theme",
  ({ index }) => {
    it.each(PAIRS)("%s on %s is at least %d", (text, surface, least) => {
      const measured = contrast(COLOURS.get(text)![index]!, COLOURS.get(surface)![index]!);
      expect(Math.round(measured * 100) / 100).toBeGreaterThanOrEqual(least);
    });
  },
);
