// @vitest-environment jsdom
/** Commands: pending, failure, abort, and that two clicks are one order. */

import { ApiError, Unreachable } from "@tapewire/client";
import { act, renderHook, screen } from "@testing-library/react";
import type { ReactNode } from "react";
import { StrictMode } from "react";
import { beforeEach, expect, test } from "vitest";
import { type Command, TapewireProvider, useCommand } from "../src/index.js";
import { TestClient } from "./fixture.js";
import { BuyButton } from "./pages.js";

let tested: TestClient;
let command: { current: Command<[symbol: string], unknown> };
let unmount: () => void;

beforeEach(() => {
  tested = new TestClient();
  const wrapper = ({ children }: { children: ReactNode }) => (
    <StrictMode>
      <TapewireProvider client={tested.client}>{children}</TapewireProvider>
    </StrictMode>
  );
  const hook = renderHook(
    () =>
      useCommand((client, options, symbol: string) =>
        client.call("POST", "/api/orders", { symbol }, options),
      ),
    { wrapper },
  );
  command = hook.result;
  unmount = hook.unmount;
});

/** The promise is within an object, because it is not waited for. */
const run = async (symbol: string): Promise<{ promise: Promise<unknown> | null }> => {
  const started: { promise: Promise<unknown> | null } = { promise: null };
  await act(async () => {
    started.promise = command.current.run(symbol);
  });
  return started;
};
const keyOf = (index: number) =>
  (tested.calls.at(index).options as { idempotencyKey: string }).idempotencyKey;
const error = (statusCode: number, outcome?: "unknown" | "not_done") =>
  new ApiError({ error: "x", message: "no", statusCode, outcome }, null);

test("a run is pending, and then has its result", async () => {
  const { promise } = await run("A");
  expect(command.current).toMatchObject({ isPending: true, error: null, result: undefined });
  await act(async () => tested.calls.at(0).answer({ orderId: "o" }));
  expect(await promise).toEqual({ orderId: "o" });
  expect(command.current).toMatchObject({ isPending: false, result: { orderId: "o" } });
});

test("two clicks on a button are one order, whatever changes in between", async () => {
  tested.render(<BuyButton />);
  const button = screen.getByRole("button");
  await act(async () => {
    button.click();
    button.click();
  });
  expect(button.textContent).toBe("pending");
  expect(tested.calls.made.map(({ body }) => body)).toEqual([{ symbol: "A" }]);
  await act(async () => tested.calls.at(0).fail(error(422)));
  expect(button.textContent).toBe("no");
});

test("a second click while it is pending sends nothing, and gets the same answer", async () => {
  const first = await run("A");
  const second = await run("A");
  expect(second.promise).toBe(first.promise);
  expect(tested.calls.made).toHaveLength(1);
});

test("two runs one after the other are two orders, with keys of their own", async () => {
  await run("A");
  await act(async () => tested.calls.at(0).answer({}));
  await run("A");
  expect(keyOf(0)).toMatch(/^[0-9a-f]{32}$/);
  expect(keyOf(1)).not.toBe(keyOf(0));
});

test.each([
  ["the server does not know", error(503, "unknown"), true],
  ["nobody answered", new Unreachable("/api/orders", null), true],
  ["it was aborted", new DOMException("left", "AbortError"), true],
  ["nothing was done", error(503, "not_done"), false],
  ["it was refused", error(422), false],
  ["the page has a fault", new TypeError("x is undefined"), false],
])("after a failure (%s) the same run has the same key: %s %s", async (_, failure, isSame) => {
  await run("A");
  await act(async () => tested.calls.at(0).fail(failure));
  expect(command.current).toMatchObject({
    isPending: false,
    error: failure,
    isOutcomeUnknown: isSame,
  });
  await run("A");
  expect(command.current.error).toBeNull();
  expect(keyOf(1) === keyOf(0)).toBe(isSame);
});

test("after an unknown outcome, another order has another key", async () => {
  await run("A");
  await act(async () => tested.calls.at(0).fail(error(503, "unknown")));
  await run("B");
  expect(keyOf(1)).not.toBe(keyOf(0));
});

test("abort reaches the call, and reset forgets the error", async () => {
  await run("A");
  act(() => command.current.abort());
  const { signal } = tested.calls.at(0).options as { signal: AbortSignal };
  expect(signal.aborted).toBe(true);
  await act(async () => tested.calls.at(0).fail(new DOMException("left", "AbortError")));
  act(() => command.current.reset());
  expect(command.current).toMatchObject({ error: null, isOutcomeUnknown: false });
});

test("a run outlives its component", async () => {
  const { promise } = await run("A");
  unmount();
  expect((tested.calls.at(0).options as { signal: AbortSignal }).signal.aborted).toBe(false);
  tested.calls.at(0).answer("done");
  expect(await promise).toBe("done");
});
