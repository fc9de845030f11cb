// @vitest-environment jsdom
/** The hook of replays: what it loads, and when it gives up. */

import { act, fireEvent, screen } from "@testing-library/react";
import { beforeEach, expect, test } from "vitest";
import { event, order } from "../../client/tests/events.js";
import { TestClient } from "./fixture.js";
import { Past } from "./readme-examples.js";

const DAY = { since: "2026-01-05T00:00:00Z", until: "2026-01-06T00:00:00Z" };
let tested: TestClient;

beforeEach(() => {
  tested = new TestClient();
});

const send = (type: string, data: unknown, sequence: number | null = null): void =>
  act(() => tested.replayStream?.onEvent(event(type, data, sequence)));

test("a slider over the past shows each moment of it", () => {
  tested.render(<Past {...DAY} />);
  send("order:update", order("a"), 1);
  send("order:update", order("b"), 2);
  send("replay:complete", { untilId: "e1-2" });
  expect(screen.getByText(/complete: 0 orders/)).toBeTruthy();
  const slider = screen.getByRole("slider") as HTMLInputElement;
  expect(slider.max).toBe("2");
  fireEvent.change(slider, { target: { value: "1" } });
  expect(screen.getByText(/complete: 1 orders/)).toBeTruthy();
});

test("one connection is open however often it renders, and none after unmounting", () => {
  const page = tested.render(<Past {...DAY} />);
  const made = tested.replays.length;
  expect(tested.openReplays).toBe(1);
  page.rerender(<Past {...DAY} />);
  expect(tested.replays).toHaveLength(made);
  page.unmount();
  expect(tested.openReplays).toBe(0);
});

test("another time and another user begin anew; signed out, nothing is loaded", () => {
  const page = tested.render(<Past {...DAY} />);
  send("order:update", order("a"), 1);
  send("replay:complete", {});
  page.rerender(<Past {...DAY} since="2026-01-04T00:00:00Z" />);
  expect(tested.replays.at(-1)?.options.since).toBe("2026-01-04T00:00:00Z");
  expect(screen.getByText(/loading: 0 orders/)).toBeTruthy();
  const before = tested.replays.length;
  act(() => tested.session.set({ name: "signed-in", userId: "bob", roles: [], expiresAt: null }));
  expect(tested.replays.length).toBe(before + 1);
  act(() => tested.session.set({ name: "unreachable", reason: "away", retryAt: 0 }));
  expect([tested.replays.length, tested.openReplays]).toEqual([before + 1, 1]);
  act(() => tested.session.set({ name: "signed-out", reason: "by-user" }));
  expect(tested.openReplays).toBe(0);
  expect((screen.getByRole("slider") as HTMLInputElement).max).toBe("0");
});
