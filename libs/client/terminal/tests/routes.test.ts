import { describe, expect, it } from "vitest";
import { firstSteps } from "../src/app/first-steps/steps.js";
import { parseRoute } from "../src/app/routes.js";
import { addToast } from "../src/app/toasts.js";

describe("deep links", () => {
  it.each([
    ["/", "", "trade", "Market"],
    ["/", "#positions", "trade", "Positions"],
    ["/", "#nonsense", "trade", "Market"],
    ["/strategies", "", "strategies", "Strategies"],
    ["/dashboard/", "", "news", "News"],
    ["/operations", "", "operations", "Operations"],
    ["/nowhere", "", null, "Market"],
    ["//", "", "trade", "Market"],
  ])("%s%s is %s, on a phone the tab %s", (path, hash, workspace, tab) => {
    expect(parseRoute(path, hash)).toEqual({ workspace, tab });
  });
});

describe("the first five minutes", () => {
  const nothing = {
    isSignedIn: false,
    symbol: null,
    hasChosenSymbol: false,
    hasOrder: false,
    hasStartedStrategy: false,
    hasAlert: false,
  };

  it("begins with the sign-in, and offers nothing that cannot be done", () => {
    const steps = firstSteps(nothing);
    expect(steps.filter(({ isPossible }) => isPossible).map(({ id }) => id)).toEqual(["sign-in"]);
    expect(steps.every(({ isDone }) => !isDone)).toBe(true);
  });

  it("offers the rest when there is a user and a price, and ticks what the account shows", () => {
    const steps = firstSteps({ ...nothing, isSignedIn: true, symbol: "SPY", hasOrder: true });
    expect(steps.filter(({ isDone }) => isDone).map(({ id }) => id)).toEqual(["sign-in", "order"]);
    expect(steps.every(({ isPossible }) => isPossible)).toBe(true);
  });
});

describe("messages", () => {
  const toast = (number: number, key?: string) => ({
    number,
    title: `Message ${number}`,
    ...(key !== undefined && { key }),
  });

  it("replaces one of the same key, and shows no more than three", () => {
    const shown = [toast(1), toast(2, "fill"), toast(3)];
    expect(addToast(shown, toast(4, "fill")).map(({ number }) => number)).toEqual([1, 3, 4]);
    expect(addToast(shown, toast(4)).map(({ number }) => number)).toEqual([2, 3, 4]);
  });
});
