import { describe, expect, it } from "vitest";

import { createFormats } from "../src/format/index.js";

const parser = (locale: string) => createFormats(locale).parse;

function readingOf(locale: string, text: string): number | string {
  const parsed = parser(locale)(text);
  return parsed.ok ? parsed.value : parsed.error;
}

describe("a typed number is read as the locale writes it", () => {
  it.each([
    ["de-DE", "1.000", 1000],
    ["de-DE", "1.000.000", 1_000_000],
    ["de-DE", "1,5", 1.5],
    ["de-DE", "1.234,56", 1234.56],
    ["en-US", "1,000", 1000],
    ["en-US", "1.000", 1],
    ["en-US", ".5", 0.5],
    ["en-US", " 12 ", 12],
    ["en-US", "0.00000001", 0.00000001],
    ["en-US", "-3", -3],
    ["en-US", "−3", -3],
    ["en-US", "+3", 3],
    ["en-US", "007", 7],
    ["fr-FR", "1 234,5", 1234.5],
    ["fr-FR", "1\u202f234,5", 1234.5],
    ["de-CH", "1'234.5", 1234.5],
    ["en-IN", "12,34,567", 1_234_567],
    ["ar-EG", "١٬٢٣٤٫٥", 1234.5],
    ["hi-IN-u-nu-deva", "१२३", 123],
    ["sv-SE", "−1,25", -1.25],
    ["es-ES", "1.234", 1234],
  ])("%s: “%s” is %d", (locale, text, value) => {
    expect(readingOf(locale, text)).toBe(value);
  });
});

describe("what could mean two numbers is refused with a text that says how to write it", () => {
  it.each([
    ["de-DE", "1.5", /“\.” groups thousands.*decimals are written with “,”/],
    ["de-DE", "1.00", /groups thousands/],
    ["de-DE", "10.0000", /groups thousands/],
    ["en-US", "1,5", /“,” groups thousands.*decimals are written with “\.”/],
    ["en-US", "1,00", /groups thousands/],
    ["en-US", "12,34,567", /groups thousands/],
    ["en-US", "0,123", /groups thousands/],
    ["en-US", "1,234.5,6", /groups thousands/],
    ["fr-FR", "1.5", /“\.” is not clear/],
    ["fr-FR", "1,234.5", /not clear/],
    ["de-CH", "1,5", /“,” is not clear/],
  ])("%s: “%s”", (locale, text, error) => {
    expect(readingOf(locale, text)).toMatch(error);
  });

  it.each([
    "1.",
    "1e5",
    "abc",
    "-",
    ".",
    "1 000",
    "$5",
    "5 %",
    "1.2.3",
    "--1",
    "1-",
    "0x10",
    "Infinity",
    "１２",
  ])("a part of a number, or more than one: “%s”", (text) => {
    expect(parser("en-US")(text)).toMatchObject({ ok: false, isEmpty: false });
  });

  it("says that nothing is there, which an optional field accepts", () => {
    expect(parser("en-US")("  ")).toMatchObject({ ok: false, isEmpty: true });
  });

  it("refuses digits that a number of the browser does not hold, and places that the market does not have", () => {
    expect(readingOf("en-US", "1234567890123456")).toMatch(/more than 15 digits/);
    expect(readingOf("en-US", "0.123456789")).toMatch(/At most 8 decimal places/);
    expect(readingOf("en-US", "0.1234567800")).toBe(0.12345678);
    expect(parser("en-US")("1.5", { maxPlaces: 0 })).toMatchObject({
      error: "Enter a whole number.",
    });
  });

  it("names the limit in the locale's numbers", () => {
    expect(parser("de-DE")("0", { min: 0, isMinExclusive: true })).toMatchObject({
      error: "Enter a number above 0.",
    });
    expect(parser("de-DE")("5000", { max: 1234.5 })).toMatchObject({
      error: "Enter at most 1.234,5.",
    });
  });
});

describe("what is shown can be typed", () => {
  const VALUES = [0, 1, -1, 0.1, 1000, 1234567.891, 0.00000001, 99999999999, 1e-7, -0.00012345];
  it.each([
    "en-US",
    "de-DE",
    "fr-FR",
    "de-CH",
    "en-IN",
    "sv-SE",
    "es-ES",
    "pt-PT",
    "pl-PL",
    "ar-EG",
    "fa-IR",
    "ja-JP",
    "bn-BD",
  ])("in %s, with separators and without", (locale) => {
    const formats = createFormats(locale);
    for (const value of VALUES) {
      expect(formats.parse(formats.editable(value)), `editable ${value}`).toEqual({
        ok: true,
        value,
      });
      expect(formats.parse(formats.quantity(value)), `shown ${value}`).toEqual({ ok: true, value });
    }
  });
});
