// @vitest-environment jsdom
/** The examples of the README do what it says. `readme-examples.tsx` is made of them, and is type-checked. */

import { readFileSync } from "node:fs";
import { act, screen } from "@testing-library/react";
import { expect, test } from "vitest";
import {
  CONNECTED,
  event,
  idOf,
  notification,
  order,
  quote,
  TIME,
} from "../../client/tests/events.js";
import { snapshot } from "../../client/tests/store-fixture.js";
import * as hooks from "../src/index.js";
import { TestClient } from "./fixture.js";
import { BuyButton, Orders, Toasts, Watchlist } from "./readme-examples.js";

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");
const README = read("../README.md");

test("the examples are those of the README", () => {
  const blocks = [...README.matchAll(/```tsx\n([\s\S]*?)```/g)].map(([, text]) => text ?? "");
  const examples = read("readme-examples.tsx")
    .replace(/\s+/g, "")
    .replaceAll(/[(),;]/g, "");
  expect(blocks).toHaveLength(6);
  for (const block of blocks.slice(1)) {
    const body = block
      .replace(/^import .*\n/gm, "")
      .replace(/\s+/g, "")
      .replaceAll(/[(),;]/g, "");
    expect(examples).toContain(body);
  }
});

test("every hook is in the README", () => {
  const names = Object.keys(hooks).filter((name) => name.startsWith("use"));
  expect(names.filter((name) => !README.includes(`\`${name}\``))).toEqual([]);
});

test("watchlist, orders, command and toasts", async () => {
  const tested = new TestClient();
  tested.source.announces = true;
  tested.render(
    <>
      <Watchlist />
      <Orders />
      <BuyButton symbol="A" />
      <Toasts />
    </>,
  );
  const prices = { initializing: true, prices: [quote("A", 7)], timestamp: TIME };
  tested.send(CONNECTED, event("price:update", prices), snapshot(1, order("o")));
  tested.send(event("notification", notification("n", { title: "Filled" }), 2));
  expect(screen.getByText("A 7")).toBeTruthy();
  expect(screen.getByText("Filled")).toBeTruthy();
  const page = tested.calls.made.find(({ path }) => path.startsWith("/api/orders"));
  await act(async () => page?.answer({ orders: [order("o")], asOf: idOf(1), next: "c" }));
  expect(screen.getByText("buy 10 SPY: new")).toBeTruthy();
  expect(screen.getByText("Older orders")).toBeTruthy();
  await act(async () => screen.getByText("Buy 1 A").click());
  await act(async () => tested.calls.made.at(-1)?.fail(new Error("no money")));
  expect(screen.getByRole("alert").textContent).toBe("no money");
});
