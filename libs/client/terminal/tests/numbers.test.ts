import { describe, expect, it } from "vitest";

import { createFormats } from "../src/format/index.js";

const en = createFormats("en-US");
const de = createFormats("de-DE");

describe("numbers are shown with the digits they need", () => {
  it.each([
    [0.00001234, "0.00001234"],
    [1.1, "1.10"],
    [123456.78901234, "123,456.78901234"],
    [-0.5, "-0.50"],
    [0, "0.00"],
    [100, "100.00"],
  ])("a price %d is %s, exactly as it was received", (value, text) => {
    expect(en.price(value)).toBe(text);
  });

  it.each([
    ["a German reader", de.price(1234.5), "1.234,50"],
    ["a Swiss reader", createFormats("de-CH").price(1234.5), "1’234.50"],
    ["an Indian reader", createFormats("en-IN").quantity(1234567), "12,34,567"],
    ["a French reader", createFormats("fr-FR").price(1234.5), "1\u202f234,50"],
  ])("%s sees %s", (_, text, expected) => {
    expect(text.replace("'", "’")).toBe(expected);
  });

  it("rounds what is calculated, but a small number keeps its digits", () => {
    expect(en.money(1234.5678)).toBe("1,234.57");
    expect(en.money(0.00001234)).toBe("0.000012");
    expect(en.percent(-0.0042)).toBe("-0.0042\u00a0%");
    expect(en.averagePrice(1 / 3)).toBe("0.3333");
  });

  it("shows a direction by its sign", () => {
    expect([en.change(0.05), en.change(-0.05), en.change(0)]).toEqual(["+0.05", "-0.05", "0.00"]);
    expect(en.signedQuantity(3)).toBe("+3");
  });

  it.each([null, undefined, Number.NaN])("shows %s as a dash", (value) => {
    expect([en.price(value), en.money(value), en.percent(value), en.share(value)]).toEqual([
      "–",
      "–",
      "–",
      "–",
    ]);
  });
});

describe("times and ages", () => {
  it.each([
    [0.42, "0.4\u00a0s"],
    [12.4, "12\u00a0s"],
    [119, "119\u00a0s"],
    [180, "3\u00a0min"],
    [7_300, "2\u00a0h"],
    [200_000, "2\u00a0d"],
    [-3, "0.0\u00a0s"],
  ])("an age of %d s is %s", (seconds, text) => {
    expect(en.duration(seconds)).toBe(text);
  });

  it("writes a time of today as a time, an older one as a date, and nonsense as a dash", () => {
    expect(en.timeOrDate(new Date())).toMatch(/\d:\d\d:\d\d/);
    expect(en.timeOrDate("2019-03-04T12:00:00Z")).toBe("Mar 4, 2019");
    expect(en.time("soon")).toBe("–");
    expect(en.relative(1_000_000, 1_180_000)).toBe("3 minutes ago");
  });
});
